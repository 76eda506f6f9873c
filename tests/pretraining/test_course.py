"""The course read-out of the compact embedding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainof_toolbox.encoder.pooling import choose_pooling
from brainof_toolbox.features import VirtualChannels
from brainof_toolbox.models import BrainOF, BrainOFConfig, make_tokens
from brainof_toolbox.pretraining.course import N_COURSE, has_course, read_course
from brainof_toolbox.pretraining.terms import smoothing_bins
from brainof_toolbox.signals import Signals


@pytest.fixture(scope="module")
def network():
    """A small network with a course and a read-out of EEG; all weights are drawn."""
    config = BrainOFConfig.preset(
        "tiny",
        **{"width": 32, "n_layers": 1, "n_latents": 12, "n_heads": 4},
        latent_groups=("second_order", "course", "reconstruction"),
        read_outs=(("eeg", "second_order", 9, 4), ("fmri", "second_order", 9, 5)),
    )
    network = BrainOF(config, random_state=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def tokens_of(n_times, n_windows=3, seed=0, sfreq=128.0):
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(5, 3))
    place *= 0.09 / np.linalg.norm(place, axis=1, keepdims=True)
    data = rng.normal(size=(n_windows, 5, n_times)).astype(np.float32)
    return make_tokens(torch.from_numpy(data), sfreq, place, 0 * place, ["eeg"] * 5, "eeg")


@torch.inference_mode()
def by_hand(network, tokens, n_times, sfreq=128.0):
    """Decode the whole course at the places, and average the recorded bins section by section."""
    latents = network(tokens)
    info = Signals(np.zeros((1, 1, 1)), 1.0, "eeg", ["a"], ["eeg"], np.ones((1, 3)) * 0.05)
    place = VirtualChannels(16).positions(info)[[0, 2, 4, 6, 8, 10, 12, 15]]
    zeros = torch.zeros(len(tokens), 8, -(-n_times // 64) * 64)
    queries = make_tokens(zeros, sfreq, place, 0 * place, ["eeg"] * 8, "eeg")
    found = network.decode(latents, queries) @ smoothing_bins(64).T
    n_bins = max(1, round(n_times / 8))
    course = found.reshape(len(tokens), 8, -1)[..., :n_bins].numpy()
    edges = np.arange(17) * n_bins / 16
    sections = [
        course[..., int(np.floor(a)) : int(np.ceil(b))].mean(-1)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.stack(sections, -1).reshape(len(tokens), -1)


@pytest.mark.parametrize("n_times", [40, 64, 130, 512])
def test_equals_decoder_by_hand(network, n_times):
    """Short, cut and long windows: averages of what the decoder gives."""
    tokens = tokens_of(n_times)
    with torch.inference_mode():
        rows = read_course(network, network(tokens), tokens)
    assert rows.shape == (3, N_COURSE)
    np.testing.assert_allclose(rows, by_hand(network, tokens, n_times), atol=1e-5)


def test_rows_depend_on_their_own_window(network):
    """Windows of other lengths in the batch change nothing."""
    long, short = tokens_of(512), tokens_of(256, seed=1)
    layout = ("position", "orientation", "time", "duration", "sensor_type", "modality")

    def join(name, a, b):
        if name in layout:
            a, b = (x.expand(3, *x.shape[1:]) for x in (a, b))
        if a.ndim > 1 and a.shape[1] != b.shape[1]:
            pad = torch.ones if name == "is_padding" else torch.zeros
            shape = (len(b), a.shape[1] - b.shape[1], *b.shape[2:])
            b = torch.cat([b, pad(shape, dtype=b.dtype)], 1)
        return torch.cat([a, b])

    fields = {name: getattr(long, name) for name in (*layout, "values", "log_scale", "is_padding")}
    both = type(long)(**{k: join(k, v, getattr(short, k)) for k, v in fields.items()})
    with torch.inference_mode():
        rows = read_course(network, network(both), both)
        alone = [read_course(network, network(part), part) for part in (long, short)]
    np.testing.assert_allclose(rows, torch.cat(alone), atol=1e-4)


def test_course_is_part_of_the_compact_form(network):
    """After the read-outs, with names; fMRI has none."""
    pooling = choose_pooling(network.config, "compact", ("eeg",))
    names = pooling.columns()
    assert len(names) == 4 + N_COURSE and names[4] == "course_0"
    tokens = tokens_of(256)
    with torch.inference_mode():
        latents = network(tokens)
        rows = pooling.rows(network, latents, tokens)
        course = read_course(network, latents, tokens)
    np.testing.assert_allclose(rows[:, 4:] * N_COURSE**0.5, course, atol=1e-6)
    assert not has_course(network.config, "fmri")
    assert len(choose_pooling(network.config, "compact", ("fmri",)).columns()) == 5


def test_missing_group_is_an_error(network):
    """A network that was not trained on courses has none to read."""
    plain = BrainOF(BrainOFConfig.preset("tiny", width=32, n_layers=1, n_latents=8, n_heads=4))
    assert not has_course(plain.config, "eeg")
    tokens = tokens_of(128)
    with pytest.raises(ValueError, match="course"):
        read_course(plain, torch.zeros(3, 8, 32), tokens)
