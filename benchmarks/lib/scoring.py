"""Sets, decoders and draws to score, and the scoring of one of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial

import numpy as np
from scipy.stats import sem

from benchmarks.lib.decoders import (
    CHECKPOINTS,
    CLASSICAL,
    CONVOLUTIONAL,
    LORA,
    NETWORK,
    PRETRAINED,
    PROBE,
    TOGETHER,
    TRAINED,
    UNTRAINED,
    make_decoder,
)
from benchmarks.lib.fmri import (
    connectivity,
    embed,
    identify_rest,
    identify_story,
    load_haxby,
    means,
    series,
)
from benchmarks.lib.paired import ALL, COMBINATIONS, LARGE, MISSING, SMALL, load_bids, load_paired
from benchmarks.lib.sampling import cut_labels
from benchmarks.lib.sets import LOADERS
from brainof_toolbox import cross_validate
from brainof_toolbox.evaluation.cross_validation import fold_weights
from brainof_toolbox.evaluation.results import points
from brainof_toolbox.evaluation.statistics import clopper_pearson, corrected_t_half_width
from brainof_toolbox.models import BrainOFConfig, load_checkpoint

#: Seeds of untrained weights on one data set; draws of a quarter of the labels, fewer of them
#: where networks are trained.
N_UNTRAINED, N_QUARTERS, N_QUARTERS_FULL = 3, 3, 2
QUARTER = 0.25
SENSORS = (*NETWORK, *CLASSICAL["sensors"], *CONVOLUTIONAL)


@dataclass(frozen=True)
class Entry:
    """A set, and the decoders that are scored on it.

    Parameters
    ----------
    load : callable
        Returns the :class:`~benchmarks.lib.sets.DevelopmentSet`; with ``n_data``, of a seed.
    decoders : tuple of str
        Their names.
    n_data : int
        Simulated data sets, each a draw; 0 for recordings.
    is_cut : bool
        True if a quarter of the labels is tried too.
    identify : callable | None
        Instead of ``load``, for identification.
    on_request : tuple of str
        Decoders that take too long unless they are named.
    """

    load: Callable | None
    decoders: tuple
    n_data: int = 0
    is_cut: bool = False
    identify: Callable | None = None
    on_request: tuple = ()


def _simulated(names, size, missing=0.0):
    return lambda seed: load_paired(names, size, seed, missing)


FEATURES = {"connectivity": connectivity, "region means": means, "the series": series}
SETS = {
    **{
        name: Entry(load, SENSORS, is_cut=name.startswith("eeg")) for name, load in LOADERS.items()
    },
    "simulated-eeg": Entry(_simulated(("eeg",), SMALL), SENSORS, 2),
    "simulated-meg": Entry(_simulated(("meg",), SMALL), SENSORS, 2),
    # The network is only trained with the shift that suits the onsets of this copy.
    **{
        f"fmri-haxby-{where}-{shift}s": Entry(
            partial(load_haxby, where, float(shift)),
            (*(NETWORK if shift == 0 else (PROBE, UNTRAINED)), *CLASSICAL["voxels"]),
        )
        for where in ("25mm", "1slice")
        for shift in (5, 0)
    },
    "simulated-fmri": Entry(_simulated(("fmri",), SMALL), (*NETWORK, *CLASSICAL["regions"]), 2),
    "simulated-all": Entry(_simulated(ALL, SMALL), (*NETWORK, *CLASSICAL["several"]), 2),
    # Each record has twenty windows of all three modalities.
    "simulated-bids": Entry(
        load_bids, (*NETWORK, *CLASSICAL["several"]), on_request=tuple(TRAINED)
    ),
    "fmri-hcp-rest": Entry(
        None, (PROBE, UNTRAINED, "connectivity", "region means"), identify=identify_rest
    ),
    "fmri-story-listening": Entry(
        None, (PROBE, UNTRAINED, "connectivity", "the series"), identify=identify_story
    ),
    **{
        f"together-{'+'.join(names)}": Entry(
            _simulated(names, LARGE),
            (
                PROBE,
                *(() if len(names) == 2 else (UNTRAINED,)),
                *(CLASSICAL["several"] if names == ALL else ()),
            ),
            3,
        )
        for names in COMBINATIONS
    },
    **{
        f"missing-{missing:g}": Entry(_simulated(ALL, LARGE, missing), (PROBE, TOGETHER), 3)
        for missing in MISSING
    },
}


@dataclass(frozen=True)
class Item:
    """One cross-validation."""

    set: str
    decoder: str
    fraction: float
    draw: int
    epochs: int | None
    weights: str

    @property
    def key(self):
        """Return the fields that identify a result."""
        return tuple(asdict(self).values())


def items(sets, decoders, max_epochs):
    """List all items to compute, the slowest first."""
    sha256 = weights_sha256()
    found = []
    for name in sets:
        if name not in SETS:
            continue
        entry = SETS[name]
        for decoder in entry.decoders:
            if decoder not in (decoders or set(entry.decoders) - set(entry.on_request)):
                continue
            epochs = max_epochs if decoder in TRAINED else None
            weights = sha256 if decoder in CHECKPOINTS else ""
            n_draws = entry.n_data or (N_UNTRAINED if decoder == UNTRAINED else 1)
            draws = [(1.0, draw) for draw in range(n_draws)]
            if entry.is_cut and decoder not in (*CONVOLUTIONAL, LORA):
                n_quarters = N_QUARTERS if epochs is None else N_QUARTERS_FULL
                draws += [(QUARTER, draw) for draw in range(n_quarters)]
            found += [Item(name, decoder, *draw, epochs, weights) for draw in draws]
    slow = (*TRAINED, *CONVOLUTIONAL)
    return sorted(found, key=lambda item: item.decoder not in slow)


def weights_sha256():
    """Return the sha256 of the weights; refuse another preset than the untrained one."""
    checkpoint = load_checkpoint(PRETRAINED)
    # Beyond the decoder, which only pretraining uses.
    answers = checkpoint.config.predicts_spectrum
    if checkpoint.config != BrainOFConfig.preset("tiny", predicts_spectrum=answers):
        raise SystemExit(f"{PRETRAINED} is not of the preset 'tiny': untrained rows need it.")
    return checkpoint.sha256


@lru_cache(maxsize=3)
def load(name, draw):
    """Load a set; simulated ones are drawn anew for each draw."""
    entry = SETS[name]
    return entry.load(draw) if entry.n_data else entry.load()


@lru_cache(maxsize=6)
def embedded(name, data_draw, decoder, seed):
    """Return frozen features, for any split and any part of the labels."""
    task = load(name, data_draw)
    return make_decoder(decoder, task, seed, 1).precompute(task.X)


def run(item):
    """Score a decoder; returns a row for the results."""
    start, entry = time.perf_counter(), SETS[item.set]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = score_identification if entry.identify else score_decoding
        row = {**asdict(item), **score(item, entry)}
    return {**row, "seconds": round(time.perf_counter() - start, 1)}


def score_decoding(item, entry):
    """Return the cross-validated score of a decoder on a set."""
    data_draw = item.draw if entry.n_data else 0
    # A quarter changes the labels, not the weights: they are those of the first draw.
    seed = 0 if item.fraction < 1 else item.draw
    task, is_frozen = load(item.set, data_draw), item.decoder in (PROBE, UNTRAINED)
    estimator = make_decoder(item.decoder, task, seed, item.epochs or 1)
    splits = task.splits()
    if item.fraction < 1:
        splits = [
            (cut_labels(train, task.y, task.groups, item.fraction, [item.draw, fold]), test)
            for fold, (train, test) in enumerate(splits)
        ]
    X = task.X
    if is_frozen:
        weights_seed = 0 if item.decoder == PROBE else seed
        X = embedded(item.set, data_draw, item.decoder, weights_seed)
        estimator.set_params(random_state=weights_seed)
    scores = cross_validate(estimator, X, task.y, groups=task.groups, cv=splits)
    weight = fold_weights(scores)
    return {
        "score": _round(scores.mean),
        "interval": [_round(end) for end in scores.interval],
        "chance": _round(scores.chance),
        "folds": [_round(score) for score in scores.folds["score"]],
        "units": {str(name): _round(score) for name, score in points(scores).items()},
        # Where each subject has one label, they are weighed so that classes count the same.
        "unit_weights": None if np.isscalar(weight) else [_round(one) for one in weight],
        "unit": task.unit,
        "task": task.task,
        "n": [len(task.y), len({i for _, test in splits for i in test})],
    }


def score_identification(item, entry):
    """Return the share of units that are identified by their features."""
    features = FEATURES.get(item.decoder)
    if features is None:
        checkpoint = CHECKPOINTS.get(item.decoder)
        features = partial(embed, checkpoint=checkpoint, random_state=item.draw)
    units, chance = entry.identify(features)
    values = np.array(list(units.values()), dtype=float)
    half = corrected_t_half_width(sem(values), len(values), 0.0)
    ends = np.clip([values.mean() - half, values.mean() + half], 0, 1)
    if half == 0:
        ends = clopper_pearson(values.mean(), len(values))
    return {
        "score": _round(values.mean()),
        "interval": [_round(end) for end in ends],
        "chance": _round(chance),
        "folds": [],
        "units": {name: _round(value) for name, value in units.items()},
        "unit_weights": None,
        "unit": "subject",
        "task": "identification",
        "n": [len(values), len(values)],
    }


def _round(value):
    return None if not np.isfinite(value) else round(float(value), 4)
