"""Parameters of an estimator as JSON values, and back."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import numpy as np

from .._utils.validation import check_fields
from ..encoder.blocks import LATENTS, describe_features
from ..features import get_blocks
from .adaptation import FineTuning, LoRA, Probe, resolve_adaptation
from .augment import Augmentation

#: Parameters that are not saved: they belong to a machine or to the samples of a call.
RUNTIME = (
    *("info", "masker", "memory", "batch_size", "device", "precision"),
    *("verbose", "checkpoint"),
)
_KINDS = {kind.__name__: kind for kind in (Probe, LoRA, FineTuning)}


def describe(estimator):
    """Return the parameters that a decoder depends on as JSON values."""
    values = estimator.get_params(deep=False)
    masker, weight = values["masker"], values.get("class_weight")
    values = {name: x for name, x in values.items() if name not in RUNTIME}
    adaptation = resolve_adaptation(values["adaptation"])
    options = adaptation.get_params(deep=False)
    if isinstance(options.get("augmentation"), Augmentation):
        options["augmentation"] = asdict(options["augmentation"])
    values["adaptation"] = {"kind": type(adaptation).__name__, **options}
    values["features"] = describe_features(values["features"])
    values["masker"] = masker if masker is None or isinstance(masker, str) else True
    is_name = isinstance(estimator.checkpoint, (str, os.PathLike))
    values["checkpoint"] = estimator.checkpoint if is_name else None
    if isinstance(weight, dict):  # keys of JSON are text
        values["class_weight"] = [[label, value] for label, value in weight.items()]
    if isinstance(values["random_state"], np.random.RandomState):
        values["random_state"] = None
    return as_json(values)


def as_json(values):
    """Return values of JSON for those that hold paths and numbers of numpy."""

    def plain(value):
        return os.fspath(value) if isinstance(value, os.PathLike) else value.item()

    return json.loads(json.dumps(values, default=plain))


def read_parameters(kind, values, given, path):
    """Return the parameters of a class of estimators, with those given at run time."""
    names = set(kind().get_params(deep=False))
    unknown = sorted(set(given) - set(RUNTIME))
    if unknown:
        raise ValueError(
            f"from_pretrained takes {', '.join(RUNTIME)}, got {', '.join(unknown)}: the others "
            "are those of the fit. Fit again to change them."
        )
    wanted = names - set(RUNTIME) | {"masker", "checkpoint"}
    if set(values) != wanted:
        raise ValueError(
            f"{path}: the parameters of a {kind.__name__} must be {sorted(wanted)}, got "
            f"{sorted(values)}. Save the decoder again."
        )
    if values["masker"] is True and "masker" not in given:
        raise ValueError(
            f"The decoder in {path.parent} was fitted with a masker object, which is not saved: "
            "pass the same as masker=."
        )
    try:
        values = values | {"adaptation": _read_adaptation(values["adaptation"])}
        values["features"] = _read_features(values["features"])
        if isinstance(values.get("class_weight"), list):
            values["class_weight"] = dict(values["class_weight"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: the parameters are damaged ({type(error).__name__}: {error}). Save the "
            "decoder again."
        ) from error
    return values | given


def _read_adaptation(values):
    options = dict(values)
    kind = _KINDS[options.pop("kind")]
    if set(options) != set(kind().get_params(deep=False)):
        raise ValueError(f"parameters of {kind.__name__}: {sorted(options)}")
    if isinstance(options.get("augmentation"), dict):
        check_fields(Augmentation, options["augmentation"], "augmentation")
        options["augmentation"] = Augmentation(**options["augmentation"])
    return kind(**options)


def _read_features(values):
    """Return names, or blocks of their fingerprints."""
    if isinstance(values, str):
        return values
    return [f if f == LATENTS else next(iter(get_blocks(f).values())) for f in values]
