"""Save what LoRA trained, without the checkpoint that it was trained on.

A directory holds ``adapter.json`` (which checkpoint, which parameters, which targets, which
explicit features) and ``adapter.safetensors`` (two factors for each matrix, the head, the probe on
explicit features, the centre of aligned subjects). Reading is strict, and nothing in it is ever
executed.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from .._utils.files import replace_directory, write_file
from .._utils.validation import check_number
from ..models.strict import (
    check_header,
    damaged,
    read_header,
    read_json,
    refuse_code,
    refuse_nonfinite,
)
from . import lora
from .alignment import Alignment
from .decoders import NETWORK
from .fusion import FusedClassifier, FusedRegressor
from .heads import N_HIDDEN
from .network import Network
from .targets import ClassTargets

FORMAT_VERSION = 1
DESCRIPTION, WEIGHTS = FILES = ("adapter.json", "adapter.safetensors")
#: Parts of the tensors, by the beginning of their names; the others are the head's.
_PARTS = ("update", "probe", "centre")


def save(directory, name, adaptation, decoder, targets, options):
    """Write the adapter of a fitted estimator: all of it, or nothing changes."""
    encoder, probe, alignment = decoder.encoder, decoder.probe, decoder.alignment
    state = {f"update.{key}": tensor for key, tensor in decoder.updates.items()}
    for key, tensor in decoder.network.state_dict().items():
        if not key.startswith("backbone."):
            state[key] = tensor.detach().cpu().contiguous()
    arrays = {f"probe.{key}": array for key, array in (probe.arrays() if probe else {}).items()}
    centre = alignment.centre if alignment else {}
    arrays |= {f"centre.{key}": array for key, array in centre.items()}
    state |= {key: torch.tensor(array) for key, array in arrays.items()}
    refuse_nonfinite(state, "the adapter")
    fusion = None
    if probe:
        fusion = {"factors": list(decoder.factors), "shares": decoder.shares}
        fusion["probe"] = probe.choices()
    description = {
        **_identity(name, adaptation, encoder, options),
        "explicit": encoder.explicit.state(),
        "fusion": fusion,
        "is_aligned": alignment is not None,
        "weights": decoder.base_weights,
        "checkpoint": encoder.checkpoint_info["name"],
        "outputs": targets.to_dict(),
        "subjects": sorted({*encoder.manifest.get("subjects", ()), *encoder.subjects}),
    }
    text = json.dumps(description, indent=2, allow_nan=False).encode()
    with replace_directory(directory, FILES) as aside:
        write_file(aside / DESCRIPTION, text)
        write_file(aside / WEIGHTS, safetensors.torch.save(state))
    return Path(os.path.abspath(directory))


def _identity(name, adaptation, encoder, options):
    """Describe what must be equal where an adapter is loaded."""
    parameters = {key: getattr(encoder, key) for key in ("pooling", "layer", "window")} | options
    own = ("head", "rank", "alpha", "target_modules")
    return {
        "format_version": FORMAT_VERSION,
        "estimator": name,
        "weights": encoder.backbone.weights,
        "parameters": parameters | {key: getattr(adaptation, key) for key in own},
    }


def load(directory, name, adaptation, encoder, kind, seed, options):
    """Put an adapter on an encoder's network; returns targets of a kind and a NetworkDecoder."""
    directory = Path(directory)
    for file in FILES:
        if not (directory / file).is_file():
            raise FileNotFoundError(
                f"{directory} is no adapter: it must hold {' and '.join(FILES)}; {file} is "
                f"missing."
            )
    path = directory / DESCRIPTION
    description = read_json(path)
    refuse_code(description, path)
    _check(description, _identity(name, adaptation, encoder, options), path)
    targets = _read_targets(description["outputs"], kind, name, path)
    encoder, fields, n_columns = _read_fusion(description, encoder, path)
    hidden = [N_HIDDEN] if adaptation.head == "mlp" else []
    widths = [len(encoder.backbone.columns(encoder.pooler)), *hidden, targets.n_outputs]
    shapes = _wanted_shapes(encoder, adaptation, widths)
    shapes |= _fusion_shapes(n_columns, targets.n_outputs, bool(fields), description["is_aligned"])
    state = _read(directory / WEIGHTS, shapes)
    network = _empty_network(encoder, widths)
    matrices = adaptation._prepare(network, encoder, seed, state["update"])
    network.load_state_dict({**network.state_dict(), **state["head"]})
    decoder = adaptation._finish(encoder, network, matrices, description["subjects"])
    arrays = {part: {k: t.double().numpy() for k, t in state[part].items()} for part in _PARTS}
    if fields:
        probe = FusedClassifier if kind is ClassTargets else FusedRegressor
        fields["probe"] = probe.restore(arrays["probe"], fields["probe"])
    if description["is_aligned"]:
        fields["alignment"] = Alignment(arrays["centre"])
    return targets, replace(decoder, **fields)


def _read_fusion(description, encoder, path):
    """Return encoder, fields of a NetworkDecoder, and widths of the blocks of its probe."""
    fusion = description["fusion"]
    encoder = encoder if fusion else encoder.only_latents()
    try:
        explicit = encoder.explicit.with_state(description["explicit"])
        if not fusion:
            return encoder.with_explicit(explicit), {}, {}
        choices, factors = fusion["probe"], tuple(fusion["factors"])
        n_columns = {block: len(names) for block, names in explicit.columns.items()}
        for numbers in (*choices.values(), fusion["shares"], dict(enumerate(factors))):
            for key, value in numbers.items():
                check_number(key, value, low=0)
        kinds = {"weights_", "strength_", "factors_"}
        if set(choices) != kinds or set(choices["weights_"]) != set(n_columns):
            raise ValueError("its probe is not one of these blocks")
        if len(factors) != 2 or set(fusion["shares"]) != {NETWORK, *n_columns}:
            raise ValueError("factors and shares do not fit to these blocks")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: the explicit features are damaged ({type(error).__name__}: {error}). Save "
            "the adapter again."
        ) from error
    fields = {"probe": choices, "factors": factors, "shares": fusion["shares"]}
    return encoder.with_explicit(explicit), fields, n_columns


def _fusion_shapes(n_columns, n_outputs, has_probe, is_aligned):
    """List the shapes of the tensors of a probe on explicit features, and of an alignment."""
    shapes = {"probe.intercept": (n_outputs,)} if has_probe else {}
    for block, n in n_columns.items():
        shapes |= {f"probe.mean.{block}": (n,), f"probe.rate.{block}": (n,)}
        shapes[f"probe.coef.{block}"] = n_outputs, n
    widths = {**n_columns, "latents": n_outputs} if is_aligned else {}
    return shapes | {f"centre.{block}": (n,) for block, n in widths.items()}


def _check(description, wanted, path):
    """Refuse an adapter of another checkpoint, estimator or other parameters."""
    missing = {
        *wanted,
        "checkpoint",
        "outputs",
        "subjects",
        "explicit",
        "fusion",
        "is_aligned",
    } - set(description)
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


def _read_targets(values, kind, name, path):
    """Read classes, or the scale of numbers."""
    try:
        return kind.from_dict(values)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: the outputs are not those of a {name} ({type(error).__name__}: {error})."
        ) from error


def _wanted_shapes(encoder, adaptation, widths):
    """List the shapes of all tensors of an adapter; nothing is allocated for it."""
    shapes = {"mean": (widths[0],), "inv_std": (widths[0],)}
    for number, (n, m) in enumerate(pairwise(widths)):
        shapes |= {f"weights.{number}": (m, n), f"biases.{number}": (m,)}
    network, rank = encoder.token_network, adaptation.rank
    found = lora.find_targets(network, adaptation.target_modules, encoder.layer)
    for name, module in found.items():
        n_out, n_in = module.weight.shape
        shapes[f"update.{name}.a"] = rank, n_in
        shapes[f"update.{name}.b"] = n_out, rank
    return shapes


def _empty_network(encoder, widths):
    """Make a network of the right shape with a head of zeros."""
    head = [(np.zeros((m, n)), np.zeros(m)) for n, m in pairwise(widths)]
    backbone, ones = copy.deepcopy(encoder.token_network), np.ones(widths[0])
    return Network(backbone, encoder.pooler, 0 * ones, ones, head, encoder.layer)


def _read(path, shapes):
    """Read the tensors of each part, if all have exactly these shapes."""
    check_header(path, read_header(path), shapes)
    try:
        state = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise damaged(path, str(error)) from error
    refuse_nonfinite(state, path)
    parts = {part: {} for part in ("head", *_PARTS)}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        part, rest = (part, rest) if part in _PARTS else ("head", name)
        parts[part][rest] = tensor.clone()
    return parts
