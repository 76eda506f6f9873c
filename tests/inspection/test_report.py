"""The report: all sections, nothing from outside, the numbers of honest cross-validation."""

from __future__ import annotations

import re

import numpy as np
import pytest

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, BrainOFRegressor, cross_validate
from brainof_toolbox.datasets import make_paired_signals, make_study
from brainof_toolbox.inspection import report
from brainof_toolbox.inspection.reports import Evaluation


@pytest.fixture(scope="module")
def study():
    epochs = make_study(n_subjects=3, n_epochs=8, n_channels=8, duration=1.0)
    return epochs, epochs.events[:, 2]


def sections(path):
    return re.findall(r'accordion-collapse-([A-Za-z_]+)"', path.read_text())


def test_report_of_a_classifier(micro_checkpoint, study, tmp_path):
    """Every section once, no script, style or image from elsewhere, and the right scores."""
    X, y = study
    estimator = BrainOFClassifier(micro_checkpoint)
    path = report(estimator, X, y, file=tmp_path / "report.html", n_mapped=3)
    text = path.read_text()
    names = " ".join(sections(path))
    for name in (
        "Checkpoint Data Scores Scores_by_group Confusion_matrix Calibration "
        "Weights_of_features Contributions Pattern_of_covariance Pattern_of_evoked "
        "Importance_of_channels Importance_of_times Importance_of_bands Expert_usage Warnings"
    ).split():
        assert name in names, name
    loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=[\"']([^\"']+)", text)
    assert not [link for link in loaded if not link.startswith(("data:", "#"))]
    scores = cross_validate(estimator, X, y)
    assert f"{scores.mean:.3f}" in text
    assert "BSD-3-Clause" in text and "8 channels, windows of 1 s" in text
    assert not hasattr(estimator, "head_")  # a clone was fitted


def test_maps_are_of_samples_left_out_of_the_first_fold(micro_checkpoint, study):
    X, y = study
    estimator = BrainOFClassifier(micro_checkpoint)
    scores = cross_validate(estimator, X, y, return_estimator=True)
    found = Evaluation(X, y, scores)
    table = scores.predictions
    assert found.first is scores.estimators[0]
    assert set(found.rows(4)) <= set(table["sample"][table["fold"] == 0])
    assert len(found.rows(4)) == len(found.left_out(4)) == 4


@pytest.mark.slow
def test_report_of_a_regressor_of_three_modalities(micro_checkpoint, tmp_path):
    """Predictions in place of a confusion matrix; maps of each modality, a brain among them."""
    X, y, _ = make_paired_signals(4, n_subjects=3, random_state=0)
    target = (y == "task") + 0.1 * np.arange(len(y))
    path = tmp_path / "report.html"
    report(BrainOFRegressor(micro_checkpoint), X, target, file=path, n_mapped=0)
    names = " ".join(sections(path))
    assert "Pattern_of_covariance__fMRI" in names and "Pattern_of_covariance__MEG" in names
    assert "Predictions" in names and "Confusion" not in names and "Importance" not in names


@pytest.mark.parametrize("features", ["latents", "explicit"])
def test_what_does_not_apply_is_left_out(features, micro_checkpoint, study, tmp_path):
    """No contributions of a single block, no patterns of latents, no experts without network."""
    X, y = study
    estimator = BrainOFClassifier(micro_checkpoint, features=features, pooling="mean")
    path = report(estimator, X, y, file=tmp_path / "report.html", n_mapped=0)
    names = " ".join(sections(path))
    assert ("Pattern" in names) == ("Contributions" in names) == (features == "explicit")
    assert ("Expert_usage" in names) == (features == "latents")


def test_warnings_are_told(study, tmp_path):
    """What was warned about while it was made stands at the end."""
    X, y = study
    estimator = BrainOFClassifier(None, features="latents", pooling="mean")
    path = report(estimator, X, y, file=tmp_path / "r.html", n_mapped=0, title="Untrained")
    text = path.read_text()
    assert "has untrained weights" in text and "Untrained" in text


def test_refuses(micro_checkpoint, study, tmp_path):
    X, y = study
    estimator = BrainOFClassifier(micro_checkpoint)
    with pytest.raises(ValueError, match="must end in '.html'"):
        report(estimator, X, y, file=tmp_path / "report.pdf")
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(FileExistsError, match="Pass overwrite=True"):
        report(estimator, X, y, file=tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "mine"
    with pytest.raises(TypeError, match="BrainOFEmbedder"):
        report(BrainOFEmbedder(), X, y, file=tmp_path / "other.html")
    with pytest.raises(ValueError, match="n_mapped"):
        report(estimator, X, y, file=tmp_path / "other.html", n_mapped=-1)
