"""Expert usage: every token is counted once, under its own modality."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.encoder.tokens import window_tokens
from brainof_toolbox.inspection import expert_usage, plot_expert_usage
from brainof_toolbox.models import BrainOF, BrainOFConfig, save_checkpoint
from brainof_toolbox.models.moe import MixtureOfExperts
from brainof_toolbox.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def pairs():
    X, _, _ = make_paired_signals(3, n_subjects=2, missing=0.4, random_state=3)
    assert any(mask.any() for mask in X.is_missing.values())  # guard
    return X


def test_shares_add_up(micro_checkpoint, pairs):
    """Of each gate and modality, to one; every gate that is run is there."""
    embedder = BrainOFEmbedder(micro_checkpoint).fit(pairs)
    usage = expert_usage(embedder, pairs)
    sums = usage.groupby(["modality", "part", "layer"])[["share", "probability"]].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    config = embedder.backbone_.config
    assert len(sums) == 3 * (config.n_encoder_blocks + config.n_layers)
    shallow = expert_usage(BrainOFEmbedder(micro_checkpoint, layer=0).fit(pairs), pairs)
    assert set(shallow["part"]) == {"encoder"}


def test_equals_counting(micro_checkpoint, pairs):
    """The same as watching each gate and counting its favourites, sample by sample."""
    embedder = BrainOFEmbedder(micro_checkpoint).fit(pairs)
    model, counts, sums = embedder.backbone_, {}, {}
    gates = [m for name, m in model.named_modules() if isinstance(m, MixtureOfExperts)]
    gates = [m for m in gates if not any(m is d for d in model.decoder.modules())]

    def watch(module, args):
        flat = args[0].reshape(-1, args[0].shape[-1])
        probability = torch.softmax(flat @ module.gate.weight.T, -1)
        best = probability.argmax(-1)
        key = (modality, gates.index(module))
        sums[key] = sums.get(key, 0.0) + probability.double().sum(0).numpy()
        counts[key] = counts.get(key, 0) + torch.bincount(best, minlength=4).numpy()

    handles = [gate.register_forward_pre_hook(watch) for gate in gates]
    for block in embedder.encoder_.windows(pairs):
        for modality in block.windows:
            for row in np.flatnonzero(~block.is_missing[modality]):
                with torch.inference_mode():
                    model([window_tokens(block, modality, np.array([row]))])
    for handle in handles:
        handle.remove()
    usage = expert_usage(embedder, pairs)
    n_encoder = model.config.n_encoder_blocks
    for (modality, number), count in counts.items():
        is_encoder = number < n_encoder
        part = "encoder" if is_encoder else "backbone"
        layer = number + 1 if is_encoder else number - n_encoder + 1
        is_own = (usage["modality"] == modality) & (usage["part"] == part)
        own = usage[is_own & (usage["layer"] == layer)]
        assert own["expert"].tolist() == [1, 2, 3, 4]
        np.testing.assert_allclose(own["share"], count / count.sum(), atol=1e-3)
        expected = sums[modality, number] / count.sum()
        np.testing.assert_allclose(own["probability"], expected, atol=1e-5)
    assert len(usage) == 4 * len(counts)


def test_heat_map(micro_checkpoint, pairs):
    """One panel per modality, with the shares written in."""
    usage = expert_usage(BrainOFEmbedder(micro_checkpoint).fit(pairs), pairs)
    figure = plot_expert_usage(usage)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["fMRI", "EEG", "MEG"]
    own = usage[usage["modality"] == "fmri"]
    first = own[(own["part"] == "encoder") & (own["layer"] == 1)]["share"]
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(image[0], first)
    given, axes = plt.subplots(1, 3)
    assert plot_expert_usage(usage, axes) is given
    with pytest.raises(ValueError, match="This figure needs 3 axes, got 1"):
        plot_expert_usage(usage, axes[0])
    plt.close("all")


def test_refuses(micro_checkpoint, pairs, tmp_path):
    """No fit, no experts."""
    with pytest.raises(ValueError, match="not fitted"):
        expert_usage(BrainOFEmbedder(micro_checkpoint), pairs)
    config = BrainOFConfig.preset("tiny", width=32, n_layers=1, experts="dense")
    path = save_checkpoint(
        tmp_path / "dense",
        BrainOF(config),
        preprocessing=Preprocessing().to_dict(),
        manifest={"datasets": []},
    )
    with pytest.raises(ValueError, match="nothing is routed"):
        expert_usage(BrainOFEmbedder(path).fit(pairs), pairs)
