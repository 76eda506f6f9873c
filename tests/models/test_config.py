"""The configuration: presets, JSON, and what it refuses."""

from __future__ import annotations

import json

import pytest
import torch

from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.models.config import PRESETS

# Millions, total and active per token, and how far off we may be (published, but for tiny).
FAMILY = {
    "tiny": (7.4, 3.4, 0.02),
    "base": (47.5, 21.5, 0.01),
    "large": (331, 150, 0.01),
    "huge": (1700, 500, 0.07),
    "giant": (9000, 1200, 0.07),
}


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts_match_the_published_ones(name):
    total, active, tolerance = FAMILY[name]
    with torch.device("meta"):
        model = BrainOF(BrainOFConfig.preset(name), random_state=None)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.n_parameters() / 1e6 == pytest.approx(total, rel=tolerance)
    assert model.n_parameters(active=True) / 1e6 == pytest.approx(active, rel=tolerance)


def test_dense_ablation_has_the_active_size():
    sparse = BrainOF(BrainOFConfig(), random_state=None).n_parameters(active=True)
    dense = BrainOF(BrainOFConfig(experts="dense"), random_state=None)
    assert dense.n_parameters() == dense.n_parameters(active=True)
    assert dense.n_parameters() == pytest.approx(sparse, rel=0.01)  # but for the gates


def test_plain_ablation_has_the_size_of_dint():
    dint = BrainOF(BrainOFConfig(), random_state=None).n_parameters()
    plain = BrainOF(BrainOFConfig(attention="plain"), random_state=None).n_parameters()
    assert plain == pytest.approx(dint, rel=0.001)


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    config = BrainOFConfig.preset(name, layer_scale=0.25, spectrum=False)
    again = BrainOFConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)
    assert again.layer_scale == 0.25


def test_unknown_key_is_named():
    with pytest.raises(ValueError, match="'n_leyers'.*n_layers"):
        BrainOFConfig.from_dict({"n_leyers": 3})
    with pytest.raises(ValueError, match="'n_leyers'"):
        BrainOFConfig.preset("tiny", n_leyers=3)


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ValueError, match="tiny.*giant.*got 'small'"):
        BrainOFConfig.preset("small")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("attention", "linear", ValueError),
        ("experts", "sparse", ValueError),
        ("spectrum", "yes", ValueError),
        ("position_encoding", "rotary", ValueError),
        ("latent_init", "zeros", ValueError),
        ("n_layers", 0, ValueError),
        ("n_layers", 2.5, TypeError),
        ("n_layers", True, TypeError),
        ("top_k", 5, ValueError),
        ("width", 100, ValueError),
        ("norm_eps", 0, ValueError),
        ("norm_eps", float("nan"), ValueError),
        ("layer_scale", -0.1, ValueError),
        ("time_wavelengths", (1.0, 2.0), ValueError),
        ("time_wavelengths", (0.0, 2.0, 3), ValueError),
        ("attention_range_init", (0.1, 0.2), ValueError),
        ("attention_range_init", ((-0.1, None),), ValueError),
    ],
)
def test_nonsense_is_refused_by_name(field, value, error):
    with pytest.raises(error, match=field):
        BrainOFConfig(**{field: value})


def test_located_latents_need_positions():
    with pytest.raises(ValueError, match="latent_init"):
        BrainOFConfig(position_encoding="none")
    assert BrainOFConfig(position_encoding="none", latent_init="random").width == 128


def test_only_a_config_builds_a_network():
    with pytest.raises(TypeError, match="BrainOFConfig.preset"):
        BrainOF("tiny")
    with pytest.raises(ValueError, match="random_state"):
        BrainOF(random_state=-1)


def test_patches_are_of_limited_length():
    """A basis of Fourier components grows with the square of it."""
    assert BrainOFConfig(patch_size=4096).patch_size == 4096
    with pytest.raises(ValueError, match="patch_size.*at most 4096"):
        BrainOFConfig(patch_size=4097)
