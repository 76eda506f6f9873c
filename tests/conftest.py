"""What several test modules share: recordings, a tiny checkpoint, a machine without a network."""

from __future__ import annotations

import os
import socket
from pathlib import Path

# No window opens, wherever the tests run.
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real recordings named by BRAINOF_DATA; without it a test is skipped."""
    folder = os.environ.get("BRAINOF_DATA")
    if not folder:
        pytest.skip("BRAINOF_DATA is not set: no real recordings")
    folder = Path(folder)
    if not folder.is_dir():
        pytest.skip(f"BRAINOF_DATA is no folder: {folder}")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to connect a socket, or to look a host up, fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"the network was asked for: {args}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture
def global_rng_untouched():
    """The random states of numpy, python and torch are the same after the test as before."""
    import random

    import numpy as np
    import torch

    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002 (the global state is what is watched)
        return (
            random.getstate(),
            str(numpy_state[1:]),
            numpy_state[1].tobytes(),
            torch.get_rng_state(),
        )

    before = states()
    yield
    after = states()
    assert before[:3] == after[:3] and torch.equal(before[3], after[3])


@pytest.fixture(scope="session")
def micro_config():
    """A configuration small enough for tests: 2 layers of width 32."""
    from brainof_toolbox.models import BrainOFConfig

    return BrainOFConfig.preset("tiny", width=32, n_layers=2)


@pytest.fixture(scope="session")
def micro_checkpoint(tmp_path_factory, micro_config):
    """The folder of a checkpoint with seeded random weights; read-only by agreement."""
    from brainof_toolbox import Preprocessing
    from brainof_toolbox.models import BrainOF, save_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints") / "micro"
    save_checkpoint(
        folder,
        BrainOF(micro_config, random_state=0),
        preprocessing=Preprocessing().to_dict(),
        manifest={"licence": "BSD-3-Clause", "datasets": [], "steps": 0},
    )
    return folder


@pytest.fixture(scope="session")
def read_out_checkpoint(tmp_path_factory):
    """The folder of a small checkpoint with read-outs of EEG and fMRI; all weights are drawn."""
    import torch

    from brainof_toolbox import Preprocessing
    from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint

    config = BrainOFConfig.preset(
        "tiny",
        **{"width": 32, "n_layers": 2, "n_latents": 18, "n_heads": 4},
        latent_groups=("second_order", "difference", "reconstruction"),
        read_outs=(
            ("eeg", "second_order", 9, 4),
            ("eeg", "difference", 9, 6),
            ("fmri", "second_order", 9, 5),
        ),
    )
    network = BrainOF(config, random_state=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parts in network.read_outs.values():
            for read_out in parts.values():
                for tensor in (read_out.weight, read_out.bias, read_out.usual):
                    tensor.normal_(std=0.1, generator=generator)
    return save_checkpoint(
        tmp_path_factory.mktemp("checkpoints") / "read_outs",
        network,
        preprocessing=Preprocessing().to_dict(),
        manifest={"licence": "BSD-3-Clause", "datasets": [], "steps": 0},
    )


@pytest.fixture(scope="session")
def eeg_raw():
    """20 s of simulated EEG, 19 channels, 200 Hz."""
    from brainof_toolbox.datasets import make_raw

    return make_raw("eeg", n_channels=19, sfreq=200.0, duration=20.0, random_state=0)


@pytest.fixture(scope="session")
def eeg_epochs():
    """40 simulated EEG epochs of 1 s, 19 channels, 128 Hz, with a lateralised mu effect."""
    from brainof_toolbox.datasets import make_epochs

    return make_epochs(
        "eeg", n_channels=19, sfreq=128.0, n_epochs=40, duration=1.0, random_state=0
    )


@pytest.fixture(scope="session")
def eeg_study():
    """Simulated epochs of 4 subjects; ``metadata["subject"]`` says whose."""
    from brainof_toolbox.datasets import make_study

    return make_study(n_subjects=4, n_epochs=16, n_channels=19, sfreq=128.0, random_state=0)


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory):
    """Two worker processes of dask.distributed that talk over the loopback only."""
    distributed = pytest.importorskip(
        "distributed", reason="dask.distributed is not installed: pip install '.[dask]'"
    )
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    folder = tmp_path_factory.mktemp("dask")
    with distributed.LocalCluster(
        host="127.0.0.1", processes=True, local_directory=folder, **options
    ) as cluster:
        yield cluster
