"""Sizes in a configuration are compared with the weights before anything is built."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from brainof_toolbox.models import BrainOF, BrainOFConfig, load_checkpoint, save_checkpoint
from brainof_toolbox.models.sizes import check_sizes, wanted_shapes

SMALL = {"width": 32, "n_layers": 2, "n_latents": 16, "n_heads": 4}
WHOLE = ["n_layers", "n_encoder_blocks", "n_decoder_blocks", "n_heads", "n_latents", "width"]
WHOLE += ["patch_size", "n_experts", "top_k"]
WAVES = {"position_wavelengths": [0.4, 0.03], "time_wavelengths": [0.25, 1024.0]}
FLOATS = ["expert_ratio", "waveform_lowpass_init", "latent_span", "norm_eps", "spectrum_floor"]
NAN, INFINITY = float("nan"), float("inf")

CASES = [
    *((name, value) for name in WHOLE for value in (10**9, 10**5, 10**30, 10**400)),
    *((name, value) for name in WHOLE for value in (-1, 0, 2.5, True, "6", None, NAN, [6])),
    *(
        (name, [*ends, count])
        for name, ends in WAVES.items()
        for count in (10**9, 10**30, 0, -3, 8.0, True, "8", None)
    ),
    *((name, [*ends, 7]) for name, ends in WAVES.items()),
    *((name, [NAN, 1.0, 8]) for name in WAVES),
    *((name, value) for name in FLOATS for value in (NAN, INFINITY, -1.0, "1", True, 10**400)),
    ("expert_ratio", 1e300),
    ("expert_ratio", 2.0),
    ("attention_range_init", [[NAN, 1.0]]),
    ("attention_range_init", [[-1.0, 1.0]]),
    ("attention_range_init", 10**9),
    ("n_layers", 1),
    ("n_encoder_blocks", 1),
    ("n_experts", 5),
    ("n_heads", 2),
    ("patch_size", 32),
]


def save(folder, **fields):
    """A checkpoint of a small network."""
    model = BrainOF(BrainOFConfig.preset("tiny", **{**SMALL, **fields}), random_state=0)
    return save_checkpoint(folder, model, preprocessing={}, manifest={})


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_wrong_sizes_are_refused_at_once(tmp_path):
    """In a process with little memory and time: the key and the file are named."""
    folder = save(tmp_path / "model")
    script = Path(__file__).with_name("loading.py")
    done = subprocess.run(
        [sys.executable, script, folder],
        input=json.dumps(CASES),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) == len(CASES)
    for (key, value), error in zip(CASES, found, strict=True):
        assert error is not None and error[0] == "ValueError", (key, value, error)
        assert key in error[1] and "config.json" in error[1], (key, value, error)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n_layers": 12, "n_encoder_blocks": 1, "n_decoder_blocks": 3, "n_experts": 3},
        {"experts": "dense", "attention": "plain", "spectrum": False},
        {"position_encoding": "none", "latent_init": "random"},
        {"predicts_spectrum": True, "patch_size": 32, "expert_ratio": 1.7, "n_heads": 2},
        {"decoder_input": "latents", "position_wavelengths": (0.4, 0.03, 3)},
    ],
)
def test_right_sizes_are_those_of_the_network(fields, tmp_path):
    """The shapes are those of the network that is built, and its checkpoint loads."""
    config = BrainOFConfig.preset("tiny", **{**SMALL, **fields})
    state = BrainOF(config, random_state=None).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert wanted_shapes(config) == shapes
    check_sizes("weights", {name: ("F32", s) for name, s in shapes.items()}, config, "config.json")
    assert load_checkpoint(save(tmp_path / "model", **fields)).config == config


@pytest.mark.parametrize("name", ["n_layers", "n_latents", "n_experts", "expert_ratio"])
def test_message_names_the_field(name, tmp_path):
    folder = save(tmp_path / "model")
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["architecture"][name] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{name} .*config\.json.*other weights"):
        load_checkpoint(folder)


@pytest.mark.parametrize("shape", [[10**9, 32], [-16, -32], [16.0, 32], [True, 512], "16"])
def test_shapes_of_the_header_fit_the_file(shape, tmp_path):
    """A header cannot confirm sizes that the file has no bytes for."""
    folder = save(tmp_path / "model")
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header["latents"]["shape"] = shape
    new = json.dumps(header).encode()
    weights.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_checkpoint(folder)


def test_the_bundled_checkpoint_has_its_sizes():
    """It loads, and every other depth of it is refused."""
    loaded = load_checkpoint("brainof-tiny")
    state = loaded.model.state_dict()
    table = {name: ("F32", tuple(tensor.shape)) for name, tensor in state.items()}
    check_sizes("weights", table, loaded.config, "config.json")
    for name in ("n_layers", "n_encoder_blocks", "n_decoder_blocks"):
        other = replace(loaded.config, **{name: getattr(loaded.config, name) + 1})
        with pytest.raises(ValueError, match=name):
            check_sizes("weights", table, other, "config.json")
