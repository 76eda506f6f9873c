"""Stages and references of the benchmark of whole pipelines."""

import cProfile
import time

import numpy as np
import pytest

from benchmarks import pipeline


def test_tangent_is_matrix_logarithm():
    """The reference equals the matrix logarithm of each shrunk covariance."""
    from scipy.linalg import logm

    data = np.random.default_rng(0).normal(size=(3, 4, 50))
    rows = pipeline.tangent_of(data)
    for row, window in zip(rows, data, strict=True):
        covariance = window @ window.T / 50
        covariance = 0.95 * covariance + 0.05 * np.trace(covariance) / 4 * np.eye(4)
        np.testing.assert_allclose(row, logm(covariance)[np.triu_indices(4)], atol=1e-10)


def test_stages_sum_to_total(monkeypatch):
    """Stages are times of the named functions; what none of them takes is the rest."""
    monkeypatch.setattr(pipeline, "STAGES", {"slow": (("test_pipeline.py", "_slow"),)})
    profile = cProfile.Profile()
    profile.runcall(_slow)
    seconds = pipeline.stages_of(profile, 1.0)
    assert seconds["slow"] >= 0.02
    assert sum(seconds.values()) == pytest.approx(1.0)


def _slow():
    time.sleep(0.02)


def test_processor_time_counts_this_process():
    """The clock counts work, not waiting."""
    before = pipeline.processor_time()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert pipeline.processor_time() - before >= 0.05
