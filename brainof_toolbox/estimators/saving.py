"""Save a fitted decoder and load it again, strictly and without executing anything in it.

A directory holds ``decoder.json`` (parameters, targets, features) and ``decoder.safetensors``
(heads, low-rank updates, centres of aligned subjects). The network is a reference, the name of a
checkpoint and the sha256 of its weights, or a checkpoint in the same directory.
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
import torch

from .._utils.files import replace_directory, write_file
from .._utils.validation import as_seed, check_option
from ..encoder.blocks import LATENTS, parse_features
from ..models.checkpoint import known_checkpoints
from ..models.strict import (
    check_header,
    damaged,
    read_header,
    read_json,
    refuse_code,
    refuse_nonfinite,
)
from ..preprocessing import Preprocessing
from . import lora
from .decoders import Decoder
from .fusion import FusedProbe
from .heads import N_HIDDEN, LayeredHead
from .network import Network
from .parameters import describe, read_parameters

FORMAT_VERSION = 1
DESCRIPTION, WEIGHTS = "decoder.json", "decoder.safetensors"
FILES = (DESCRIPTION, WEIGHTS, "config.json", "model.safetensors", "manifest.json")
_KEYS = {"format_version", "estimator", "parameters", "outputs", "subjects"}
_KEYS |= {"backbone", "preprocessing", "explicit", "head", "is_trained", "is_aligned"}
_REFERENCE = {"name", "weights", "is_inside"}
#: Parameters that an adapter and the estimator that loads it must have in common.
_SHARED = ("features", "align", "pooling", "layer", "window")
_SHARED_BY_ADAPTATIONS = ("head", "rank", "alpha", "target_modules")


def save(directory, estimator, backbone):
    """Write a fitted estimator: all of it, or nothing changes; returns the directory."""
    decoder = estimator.decoder_
    encoder, reference = decoder.encoder, None
    if encoder.backbone is not None:
        if encoder.backbone.embeds != "tokens":
            raise ValueError("The authors' weights are not saved again: keep their file.")
        is_own = decoder.network is not None and decoder.updates is None
        weights = decoder.base_weights or encoder.backbone.weights
        reference = refer(encoder.checkpoint_info, weights, backbone, is_own)
    description = {
        "format_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "parameters": describe(estimator),
        "outputs": estimator.targets_.to_dict(),
        "subjects": sorted({*encoder.manifest.get("subjects", ()), *encoder.subjects}),
        "backbone": reference,
        "preprocessing": encoder.preprocessing.to_dict(),
        "explicit": encoder.explicit.state(),
        "head": decoder.head.choices(),
        "is_trained": decoder.network is not None,
        "is_aligned": decoder.centre is not None,
    }
    write(directory, description, _tensors(decoder, reference), encoder)


def refer(info, weights, backbone, is_own):
    """Return how a network is found again; ``is_own``: its weights are in no other checkpoint."""
    check_option("backbone", backbone, ("auto", "inside", "outside"))
    if is_own and backbone == "outside":
        raise ValueError(
            "A fine-tuned network is in no other checkpoint: save it with backbone='auto'."
        )
    name = info["name"] or ""
    is_named = name in known_checkpoints() or name.startswith("hf://")
    is_inside = is_own or backbone == "inside"
    is_inside |= backbone == "auto" and not (is_named and info["sha256"] == weights)
    return {"name": info["name"], "weights": weights, "is_inside": is_inside}


def write(directory, description, state, encoder):
    """Write description, tensors, and the checkpoint of an encoder if it is to be inside."""
    state = {k: torch.as_tensor(x).detach().cpu().contiguous().clone() for k, x in state.items()}
    refuse_nonfinite(state, "the decoder")
    text = json.dumps(description, indent=2, allow_nan=False).encode()
    with replace_directory(directory, FILES) as aside:
        if description["backbone"] and description["backbone"]["is_inside"]:
            encoder.save(aside)
        write_file(aside / DESCRIPTION, text)
        write_file(aside / WEIGHTS, safetensors.torch.save(state))


def _tensors(decoder, reference):
    """Collect the tensors of a decoder, without those of a backbone, by name."""
    parts = {"head": decoder.head.arrays(), "centre": decoder.centre or {}}
    if decoder.network is not None:
        own = decoder.network.state_dict().items()
        parts["network"] = {name: x for name, x in own if not name.startswith("backbone.")}
        parts["update"] = decoder.updates or {}
        parts["matrix"] = decoder.matrices if reference["is_inside"] else {}
    return {f"{part}.{k}": x for part, arrays in parts.items() for k, x in arrays.items()}


# ----------------------------------------------------------------------------------- loading


def load(kind, directory, given):
    """Make a fitted estimator of a class from a directory, with given run-time parameters."""
    directory = Path(directory)
    description = read_description(directory, kind.__name__, _KEYS)
    path, reference = directory / DESCRIPTION, description["backbone"]
    parameters = read_parameters(kind, description["parameters"], given, path)
    has_latents = LATENTS in parse_features(parameters["features"])
    trains = parameters["adaptation"].trains_network
    if (reference is not None) != has_latents or description["is_trained"] != trains:
        raise ValueError(
            f"{path}: backbone, features and adaptation disagree. Save the decoder again."
        )
    source = find_checkpoint(directory, reference, given.get("checkpoint"))
    estimator = kind(**{**parameters, "checkpoint": source})
    adaptation, encoder = estimator._start()
    if reference is None:
        encoder.preprocessing = Preprocessing.from_dict(description["preprocessing"])
    if reference is None or description["is_trained"]:
        estimator.checkpoint = parameters["checkpoint"]  # the one that a new fit starts from
    return _restore(estimator, adaptation, encoder, directory, description)


def load_adapter(estimator, directory):
    """Restore an estimator whose checkpoint is that of a LoRA in a directory."""
    directory = Path(directory)
    description = read_description(directory, type(estimator).__name__, _KEYS)
    adaptation, encoder = estimator._start()
    own = describe(estimator)
    pairs = [(key, description["parameters"].get(key), own[key]) for key in _SHARED]
    saved = description["parameters"].get("adaptation") or {}
    pairs += [(k, saved.get(k), own["adaptation"][k]) for k in _SHARED_BY_ADAPTATIONS]
    for key, found, wanted in pairs:
        if found != wanted:
            raise ValueError(
                f"The adapter in {directory} was fitted with {key}={found!r}, this estimator has "
                f"{wanted!r}. Give it the parameters of the fit."
            )
    if not description["backbone"] or description["backbone"]["is_inside"]:
        raise ValueError(f"{directory} holds its network: load it with from_pretrained.")
    return _restore(estimator, adaptation, encoder, directory, description)


def find_checkpoint(directory, reference, given=None):
    """Return where a network is found: inside, given, or by its name; None without a network."""
    if reference is None:
        return None
    if reference["is_inside"]:
        return os.fspath(directory)
    return reference["name"] if given is None else given


def read_description(directory, name, keys):
    """Read the description of an object of the class ``name``, which has exactly these keys."""
    for file in (DESCRIPTION, WEIGHTS):
        if not (directory / file).is_file():
            raise FileNotFoundError(
                f"{directory} holds no fitted decoder: {file} is missing. Write it with "
                "save_pretrained; a checkpoint alone is loaded by checkpoint=."
            )
    path = directory / DESCRIPTION
    description = read_json(path)
    refuse_code(description, path)
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version!r}, this version of brainof_toolbox reads "
            f"{FORMAT_VERSION}. Upgrade brainof_toolbox, or save the decoder again."
        )
    found = description.get("estimator", name)
    if found != name:
        raise ValueError(
            f"{directory} holds a {found}, not a {name}: use {found}.from_pretrained."
        )
    missing, unknown = keys - set(description), set(description) - keys
    if missing or unknown:
        raise ValueError(
            f"{path} describes no decoder: it lacks {sorted(missing)} and has unknown "
            f"{sorted(unknown)}. Save the decoder again."
        )
    reference = description["backbone"]
    is_read = isinstance(description["parameters"], dict)
    if reference is not None:
        is_read &= isinstance(reference, dict) and set(reference) == _REFERENCE
    if not is_read:
        raise ValueError(f"{path}: parameters or backbone are damaged. Save the decoder again.")
    return description


def _restore(estimator, adaptation, encoder, directory, description):
    """Fill an estimator that has the parameters of the fit; returns it."""
    path, name = directory / DESCRIPTION, type(estimator).__name__
    check_backbone(encoder, description, path)
    try:
        targets = estimator._targets.from_dict(description["outputs"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: the outputs are not those of a {name} ({type(error).__name__}: {error})."
        ) from error
    is_trained, n_outputs = description["is_trained"], targets.n_outputs
    kind = LayeredHead if adaptation.head == "mlp" and not is_trained else FusedProbe
    encoder, widths = _read_blocks(encoder, kind, description, n_outputs, path)
    shapes = {f"head.{key}": shape for key, shape in kind.shapes(widths, n_outputs).items()}
    if description["is_aligned"]:
        shapes |= {f"centre.{block}": (n,) for block, n in widths.items()}
    layers = None
    if is_trained:
        hidden = [N_HIDDEN] if adaptation.head == "mlp" else []
        layers = [len(encoder.backbone.columns(encoder.pooler)), *hidden, n_outputs]
        shapes |= _network_shapes(encoder, adaptation, layers, description["backbone"])
    parts = read_tensors(directory / WEIGHTS, shapes)
    arrays = {part: {k: x.double().numpy() for k, x in parts[part].items()} for part in parts}
    fields = {"head": kind.restore(arrays["head"], description["head"])}
    if description["is_aligned"]:
        fields["centre"] = arrays["centre"]
    if not is_trained:
        return estimator._store(targets, Decoder(encoder, **fields))
    network, matrices = _empty_network(encoder, layers), parts["matrix"]
    if parts["update"] and not matrices:
        seed = as_seed(estimator.random_state)
        matrices = adaptation._prepare(network, encoder, seed, parts["update"])
    network.load_state_dict({**network.state_dict(), **parts["network"]})
    fields |= {"updates": parts["update"] or None, "subjects": description["subjects"]}
    fields["base_weights"] = description["backbone"]["weights"]
    return estimator._store(targets, adaptation._finish(encoder, network, matrices, **fields))


def check_backbone(encoder, description, path):
    """Refuse a network or preprocessing other than those of the fit."""
    reference = description["backbone"]
    if reference is None:
        return
    if not reference["is_inside"] and encoder.backbone.weights != reference["weights"]:
        raise ValueError(
            f"The decoder in {path.parent} has weights {reference['weights']!r}, this estimator "
            f"needs {encoder.backbone.weights!r}: it was fitted on the checkpoint "
            f"{reference['name']!r}, whose file is another one now. Pass checkpoint= with the "
            "one of the fit, or fit again."
        )
    if encoder.preprocessing.to_dict() != description["preprocessing"]:
        raise ValueError(
            f"{path}: the checkpoint {reference['name']!r} has another preprocessing now. Pass "
            "checkpoint= with the one of the fit, or fit again."
        )


def _read_blocks(encoder, kind, description, n_outputs, path):
    """Return the encoder with its explicit features, and the widths of the blocks of the head."""
    try:
        if not description["explicit"]["columns"] and encoder.explicit.features:
            encoder = encoder.only_latents()
        encoder = encoder.with_explicit(encoder.explicit.with_state(description["explicit"]))
        columns = encoder.explicit.columns
        widths = {block: len(names) for block, names in columns.items()}
        if encoder.has_latents:
            is_trained = description["is_trained"]
            columns = encoder.backbone.columns(encoder.pooler)
            widths[LATENTS] = n_outputs if is_trained else len(columns)
        kind.check_choices(description["head"], widths)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: the explicit features are damaged ({type(error).__name__}: {error}). Save "
            "the decoder again."
        ) from error
    return encoder, widths


def _network_shapes(encoder, adaptation, layers, reference):
    """List the shapes of the tensors of a trained network; nothing is allocated for it."""
    shapes = {"network.mean": (layers[0],), "network.inv_std": (layers[0],)}
    for number, (n, m) in enumerate(pairwise(layers)):
        shapes |= {f"network.weights.{number}": (m, n), f"network.biases.{number}": (m,)}
    if not adaptation.has_updates:
        return shapes
    found = lora.find_targets(encoder.token_network, adaptation.target_modules, encoder.layer)
    for name, module in found.items():
        n_out, n_in = module.weight.shape
        shapes[f"update.{name}.a"] = adaptation.rank, n_in
        shapes[f"update.{name}.b"] = n_out, adaptation.rank
        if reference["is_inside"]:
            shapes[f"matrix.{name}"] = n_out, n_in
    return shapes


def _empty_network(encoder, layers):
    """Make a network of the right shape with a head of zeros."""
    head = [(np.zeros((m, n)), np.zeros(m)) for n, m in pairwise(layers)]
    backbone, ones = copy.deepcopy(encoder.token_network), np.ones(layers[0])
    return Network(backbone, encoder.pooler, 0 * ones, ones, head, encoder.layer)


def read_tensors(path, shapes):
    """Read the tensors of each part, if all have exactly these shapes."""
    check_header(path, read_header(path), shapes)
    try:
        state = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise damaged(path, str(error)) from error
    refuse_nonfinite(state, path)
    parts = {part: {} for part in ("head", "centre", "network", "update", "matrix")}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor.clone()
    return parts
