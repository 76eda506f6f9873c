"""A checkpoint small enough that a fit takes a fraction of a second."""

from __future__ import annotations

import pytest

SMALL = {"width": 32, "n_layers": 2, "n_latents": 16, "n_heads": 4}


def _save(folder, seed):
    from brainof_toolbox import Preprocessing
    from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint

    return save_checkpoint(
        folder,
        BrainOF(BrainOFConfig.preset("tiny", **SMALL), random_state=seed),
        preprocessing=Preprocessing().to_dict(),
        manifest={"licence": "BSD-3-Clause", "datasets": ["simulated"], "steps": 7},
    )


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory):
    """The folder of a checkpoint of width 32; read-only by agreement."""
    return _save(tmp_path_factory.mktemp("checkpoints") / "small", seed=0)


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory):
    """The same architecture with other weights."""
    return _save(tmp_path_factory.mktemp("checkpoints") / "other", seed=1)
