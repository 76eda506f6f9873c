"""The folder of weights that ships: half precision, a whole manifest, a card."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.lib.write_corpus import write_corpus
from benchmarks.ship_tiny import make_contents
from benchmarks.suite.people import read_splits
from brainof_toolbox import BrainOFEmbedder, Signals
from brainof_toolbox.models import load_checkpoint
from brainof_toolbox.pretraining import latest_checkpoint, pretrain


def noise(n_samples=4):
    """Return EEG of white noise at four places."""
    rng = np.random.default_rng(0)
    return Signals(
        data=rng.normal(size=(n_samples, 4, 256)),
        sfreq=256.0,
        modality="eeg",
        ch_names=["Fp1", "Fp2", "O1", "O2"],
        ch_types=["eeg"] * 4,
        ch_pos=0.09
        * np.array([[-0.3, 0.9, 0.3], [0.3, 0.9, 0.3], [-0.3, -0.9, 0.3], [0.3, -0.9, 0.3]]),
        subject=["01"] * n_samples,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, micro_config):
    folder = tmp_path_factory.mktemp("ship")
    corpus = write_corpus(folder / "corpus", [("noise", "CC0-1.0", noise())])
    training = {"max_tokens_per_microbatch": 64, "n_workers": 0}
    pretrain(
        corpus,
        folder / "run",
        config=micro_config,
        total_steps=2,
        save_every=1,
        training=training,
        verbose=False,
    )
    return folder


def test_the_folder_loads_in_half_precision(run, tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name, content in make_contents(run / "run", run / "corpus", name="shipped").items():
        (folder / name).write_bytes(content)
    tensors = load_file(folder / "model.safetensors")
    assert len(tensors) > 10 and {str(t.dtype) for t in tensors.values()} == {"float16"}
    trained = load_checkpoint(latest_checkpoint(run / "run")).model.state_dict()
    assert set(tensors) == set(trained)
    for name, tensor in load_checkpoint(folder).model.state_dict().items():
        assert np.allclose(tensor.numpy(), trained[name].numpy(), rtol=1e-3, atol=1e-6), name
    X = noise().replace(data=1e-5 * noise().data)
    rows = BrainOFEmbedder(folder, pooling="mean").fit_transform(X)
    assert np.isfinite(rows).all() and rows.shape[0] == 4


def test_manifest_and_card_are_complete(run):
    contents = make_contents(run / "run", run / "corpus", name="shipped")
    manifest, card = json.loads(contents["manifest.json"]), contents["README.md"].decode()
    assert manifest["name"] == "shipped" and manifest["licence"] == "CC-BY-4.0"
    assert manifest["steps"] == 2 and manifest["sha256"]
    [source] = manifest["sources"]
    assert source["dataset"] == "noise" and source["licence"] == "CC0-1.0"
    assert source["hours"] == pytest.approx(4 / 3600, abs=1e-3)
    assert manifest["split"] == read_splits()
    total = load_checkpoint(latest_checkpoint(run / "run")).model.n_parameters()
    assert manifest["n_parameters"]["total"] == total and f"{total:,}" in card
    assert "| noise | eeg | " in card and "{" not in card
    one = json.loads(make_contents(run / "run", run / "corpus", step=1)["manifest.json"])
    assert one["steps"] == 1


def test_another_corpus_is_refused(run, tmp_path):
    write_corpus(tmp_path / "other", [("noise", "CC0-1.0", noise(3))])
    with pytest.raises(ValueError, match="was not trained on"):
        make_contents(run / "run", tmp_path / "other")
