"""Save what LoRA has learned, without the network that it was learned on.

A directory holds ``adapter.json`` (which checkpoint, which parameters, which classes) and
``adapter.safetensors`` (two factors for each matrix, and the head). Reading is strict, and nothing
in it is ever executed.
"""

from __future__ import annotations

import copy
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch

from .._utils.files import replace_directory, write_file
from ..models.strict import (
    check_header,
    damaged,
    read_header,
    read_json,
    refuse_code,
    refuse_nonfinite,
)
from . import lora
from .heads import N_HIDDEN
from .network import Network

FORMAT_VERSION = 1
DESCRIPTION, WEIGHTS = FILES = ("adapter.json", "adapter.safetensors")
_PREFIX = "difference."
#: Parameters that must be those of the fit.
DECIDING = ("pooling", "layer", "window", "head", "lora_rank", "lora_scaling", "lora_targets")


def save(directory, estimator, outputs):
    """Write the adapter of a fitted estimator: all of it, or nothing changes."""
    network = estimator.network_
    state = {f"{_PREFIX}{name}": tensor for name, tensor in estimator.adapter_.items()}
    for name, tensor in network.state_dict().items():
        if not name.startswith("backbone."):
            state[name] = tensor.detach().cpu().contiguous()
    refuse_nonfinite(state, "the adapter")
    description = {
        "format_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "checkpoint": estimator.checkpoint_info_["name"],
        "weights": estimator._feature_key()[0],
        "parameters": {name: getattr(estimator, name) for name in DECIDING},
        "outputs": outputs,
        "subjects": estimator._tuned_manifest.get("subjects", []),
    }
    text = json.dumps(description, indent=2, allow_nan=False).encode()
    with replace_directory(directory, FILES) as aside:
        write_file(aside / DESCRIPTION, text)
        write_file(aside / WEIGHTS, safetensors.torch.save(state))
    return Path(os.path.abspath(directory))


def load(directory, estimator):
    """Put an adapter on the network of an estimator whose checkpoint has been loaded."""
    directory = Path(directory)
    for name in FILES:
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"{directory} is no adapter: it must hold {' and '.join(FILES)}; {name} is "
                f"missing."
            )
    description = read_json(directory / DESCRIPTION)
    refuse_code(description, directory / DESCRIPTION)
    _check(description, estimator, directory / DESCRIPTION)
    n_outputs = _take_outputs(description["outputs"], estimator, directory / DESCRIPTION)
    widths = _head_widths(estimator, n_outputs)
    state = _read(directory / WEIGHTS, _wanted_shapes(estimator, widths))
    network = _empty_network(estimator, widths)
    estimator._attach_differences(network)
    lora.restore(network.backbone, state["difference"])
    network.load_state_dict({**network.state_dict(), **state["head"]})
    estimator._keep(network, description["subjects"])


def _check(description, estimator, path):
    """Refuse an adapter of something else, and say of what."""
    wanted = {
        "format_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "weights": estimator._feature_key()[0],
        "parameters": {name: getattr(estimator, name) for name in DECIDING},
    }
    missing = {*wanted, "checkpoint", "outputs", "subjects"} - set(description)
    if missing:
        raise ValueError(f"{path} lacks {sorted(missing)}: it describes no adapter.")
    for name, value in wanted.items():
        found, value = (json.loads(json.dumps(x)) for x in (description[name], value))
        if name == "parameters" and isinstance(found, dict):
            for key in value:
                if found.get(key) != value[key]:
                    raise ValueError(
                        f"The adapter in {path.parent} was fitted with {key}={found.get(key)!r}, "
                        f"this estimator has {value[key]!r}. Give it the parameters of the fit."
                    )
        elif found != value:
            raise ValueError(
                f"The adapter in {path.parent} has {name} {found!r}, this estimator needs "
                f"{value!r}. It was fitted on the checkpoint {description['checkpoint']!r}."
            )


def _take_outputs(outputs, estimator, path):
    """Let the estimator take what its outputs mean; returns how many there are."""
    try:
        return estimator._take_outputs(outputs)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: the outputs are not those of a {type(estimator).__name__} "
            f"({type(error).__name__}: {error})."
        ) from error


def _head_widths(estimator, n_outputs):
    """Numbers of features, of hidden units if any, and of outputs."""
    return [
        estimator.n_latent_features_,
        *([N_HIDDEN] if estimator.head == "mlp" else []),
        n_outputs,
    ]


def _wanted_shapes(estimator, widths):
    """Shapes of all tensors of an adapter by name; nothing is made for it."""
    shapes = {"mean": (widths[0],), "rate": (widths[0],)}
    for number, (n, m) in enumerate(pairwise(widths)):
        shapes |= {f"weights.{number}": (m, n), f"biases.{number}": (m,)}
    found = lora.find_targets(estimator.backbone_, estimator.lora_targets, estimator.layer)
    for name, module in found.items():
        n_out, n_in = module.weight.shape
        shapes[f"{_PREFIX}{name}.a"] = estimator.lora_rank, n_in
        shapes[f"{_PREFIX}{name}.b"] = n_out, estimator.lora_rank
    return shapes


def _empty_network(estimator, widths):
    """A network of the right shape whose head is zero."""
    head = [(np.zeros((m, n)), np.zeros(m)) for n, m in pairwise(widths)]
    backbone, ones = copy.deepcopy(estimator.backbone_), np.ones(widths[0])
    return Network(backbone, estimator.pooling, 0 * ones, ones, head, estimator.layer)


def _read(path, shapes):
    """Factors of the differences, and the head, if they have exactly these shapes."""
    check_header(path, read_header(path), shapes)
    try:
        state = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise damaged(path, str(error)) from error
    refuse_nonfinite(state, path)
    parts = {"head": {}, "difference": {}}
    for name, tensor in state.items():
        part = "difference" if name.startswith(_PREFIX) else "head"
        parts[part][name.removeprefix(_PREFIX)] = tensor.clone()
    return parts
