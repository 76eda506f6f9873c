"""Explicit features: blocks of columns that need no network, and their names."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from .._utils.validation import check_option
from ..features import Block, Covariance, Evoked, get_blocks
from ..signals import MODALITIES
from .pooling import unseen_modality

__all__ = [
    "LATENTS",
    "ColumnsDifferError",
    "ExplicitFeatures",
    "describe_features",
    "is_automatic",
    "parse_features",
    "signals_for",
]

AUTO, ALL_EXPLICIT = "auto", "explicit"
LATENTS = "latents"
EXPLICIT = get_blocks()  # features that need no network, with their defaults
_MOST_REGIONS = 450  # of an atlas whose own correlations are columns: some 100,000


class ColumnsDifferError(ValueError):
    """Samples give a block other columns than earlier samples."""

    def __init__(self, block, message, is_own=False):
        super().__init__(block, message, is_own)  # all of them, so that it can be pickled
        self.block, self.message = block, message
        self.is_own = is_own  # True: fixed places would have the same columns

    def __str__(self):
        return self.message


def is_automatic(features):
    """Return whether the blocks are those that apply to the samples."""
    return isinstance(features, str) and features in (AUTO, ALL_EXPLICIT)


def parse_features(features):
    """Return ``"latents"`` and blocks, in the given order."""
    if is_automatic(features):
        return (LATENTS, *EXPLICIT.values()) if features == AUTO else tuple(EXPLICIT.values())
    given = [features] if isinstance(features, (str, Block)) else features
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    known, hint = (LATENTS, *EXPLICIT), "Or 'auto' or 'explicit' alone."
    parsed = [
        f if isinstance(f, Block) else check_option("features", f, known, hint) for f in given
    ]
    parsed = [EXPLICIT.get(f, f) if isinstance(f, str) else f for f in parsed]
    names = [getattr(feature, "name", feature) for feature in parsed]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"The parameter 'features' must name at least one block, and each once, got {given}."
        )
    return tuple(parsed)


def describe_features(features):
    """Describe a valid choice of features, as JSON values."""
    if is_automatic(features):
        return features
    return [f if f == LATENTS else f.fingerprint() for f in parse_features(features)]


class ExplicitFeatures:
    """Features of preprocessed windows; of several modalities, one block of each.

    The first samples that are embedded fix the modalities, which are part of the names of blocks,
    and the columns. Where features are chosen automatically, they also fix which blocks apply, and
    whether fMRI has the correlations of its own regions or of fixed places.
    """

    def __init__(self, features, *, is_auto=False):
        self.features = tuple(feature for feature in features if feature != LATENTS)
        self.is_auto = is_auto
        self.modalities = ()
        self.columns = {}  # Names of columns by block
        self.excluded = ()  # Blocks that do not apply to all samples
        self.fixed_places = ()  # fMRI blocks of several atlases, or of a large one
        self.is_fixed = False

    def note_modalities(self, samples):
        """Fix the modalities of lazily read samples, unless they are fixed."""
        if not self.modalities:
            found = {name for item in samples for name in item.modalities}
            self.modalities = tuple(name for name in MODALITIES if name in found)

    def copy(self):
        """Return a copy for a worker, which shares no state with this one."""
        other = copy.copy(self)
        other.columns = dict(self.columns)
        return other

    def start(self):
        """Forget the columns of an attempt that failed."""
        if not self.is_fixed:
            self.columns = {}

    def fix(self):
        """Keep the blocks that apply to all of the first samples."""
        self.is_fixed = bool(self.features)  # latents alone leave an encoder as it is
        self.columns = {k: v for k, v in self.columns.items() if k not in self.excluded}

    def state(self):
        """Return what the first samples fixed, as JSON values."""
        columns = {block: list(names) for block, names in self.columns.items()}
        state = {"modalities": list(self.modalities), "columns": columns}
        names = {name: list(getattr(self, name)) for name in ("excluded", "fixed_places")}
        return state | names

    def with_state(self, state):
        """Return a copy with what :meth:`state` returned, strictly; or raise a ValueError."""
        other, columns = self.copy(), state["columns"]
        other.modalities = tuple(name for name in MODALITIES if name in state["modalities"])
        if list(other.modalities) != state["modalities"]:
            raise ValueError(f"modalities {state['modalities']!r}")
        known = [LATENTS, *(n for feature in self.features for n in other._names(feature))]
        unknown = {*columns, *state["excluded"], *state["fixed_places"]} - set(known)
        if unknown or set(columns) & set(state["excluded"]):
            raise ValueError(f"blocks {sorted(unknown) or 'both used and excluded'}")
        for block, names in columns.items():
            is_text = isinstance(names, list) and all(isinstance(name, str) for name in names)
            if not is_text or not names or len(set(names)) < len(names):
                raise ValueError(f"names of the columns of {block!r}")
        other.columns = {block: tuple(columns[block]) for block in columns}
        other.excluded = tuple(state["excluded"])
        other.fixed_places = tuple(state["fixed_places"])
        other.is_fixed = True
        return other

    def note(self, other):
        """Add what a worker has found about its samples."""
        self.modalities = self.modalities or other.modalities
        self.excluded = _union(self.excluded, other.excluded)
        self.note_columns(other.columns, other.fixed_places)
        self.fixed_places = _union(self.fixed_places, other.fixed_places)

    def note_columns(self, columns, fixed_places=None):
        """Fix the columns of blocks, found with their fixed places; refuse others than before."""
        fixed_places = self.fixed_places if fixed_places is None else fixed_places
        for block, names in columns.items():
            is_fmri, known = self._is_fmri(block), self.columns.setdefault(block, names)
            if len(known) != len(names) or (is_fmri and known != names):
                raise ColumnsDifferError(
                    block,
                    f"The block {block!r} has {len(names)} columns for these samples and "
                    f"{len(known)} for earlier ones, or columns of other names: their durations "
                    "or atlases differ. Cut samples to one length, use one atlas, or leave the "
                    "block out of features.",
                    is_fmri and not (block in self.fixed_places and block in fixed_places),
                )

    def give_way(self, error):
        """Prepare to embed the first samples again without what they do not share."""
        if not self.is_auto or self.is_fixed:
            return False
        if error.is_own:
            self.fixed_places = _union(self.fixed_places, (error.block,))
        else:
            self.excluded = (*self.excluded, error.block)
        return True

    def compute(self, batch):
        """Yield block, samples (n,) and rows (n, n_columns) of a WindowBatch."""
        for feature in self.features:
            for modality in batch.windows:
                block = self._name(feature, modality)
                if batch.is_missing[modality].all() or self._is_unused(block):
                    continue
                sample, signals = signals_for(feature, modality, batch)
                if self._applies(feature, block, signals):
                    own = self._fit_to_atlas(feature, block, signals)
                    self.note_columns({block: tuple(own.columns(signals))})
                    yield block, sample, own.compute(signals).astype(np.float64)

    def blocks_of(self, feature):
        """List the blocks of a feature that have been seen, by modality in reading order."""
        unused = self.excluded
        return [n for n in self._names(feature) if n in self.columns and n not in unused]

    def definitions(self):
        """Return the modality and the feature of each block that has been seen, as computed."""
        found = {}
        for feature in self.features:
            used = self.blocks_of(feature)
            for modality, block in zip(self.modalities, self._names(feature), strict=True):
                if block in used:
                    found[block] = modality, self._with_own_regions(feature, block)
        return found

    def fingerprint(self):
        """Describe what determines the blocks, as JSON values."""
        found = [feature.fingerprint() for feature in self.features]
        return [*found, AUTO] if self.is_auto else found

    def _applies(self, feature, block, signals):
        """Return whether a block applies; an automatic one must apply to all samples."""
        if not self.is_auto:
            return feature.is_available(signals)
        is_available = feature.is_available(signals) and not _lacks_orientations(signals)
        if not is_available and block in self.columns:
            raise ColumnsDifferError(
                block,
                f"The block {block!r}, which the decoder uses, does not apply to these samples: "
                "it was fitted to epochs or trials, and these are recordings, or windows of them.",
            )
        if not is_available and not self.is_fixed:
            self.excluded = (*self.excluded, block)
        return is_available

    def _is_unused(self, block):
        """Return whether a block was left out of the first samples."""
        is_late = self.is_auto and self.is_fixed and block not in self.columns
        return is_late or block in self.excluded

    def _with_own_regions(self, feature, block):
        """Return an fMRI block with the atlas's own regions, unless it has fixed places."""
        is_own = self.is_auto and self._is_fmri(block) and block not in self.fixed_places
        return replace(feature, regions="own") if is_own else feature

    def _fit_to_atlas(self, feature, block, signals):
        """Return the block for these signals; an atlas that is too large has fixed places."""
        own = self._with_own_regions(feature, block)
        is_large = own.name == Covariance.name and signals.shape[1] > _MOST_REGIONS
        if not is_large or own.regions == feature.regions:
            return own
        if block not in self.columns:
            self.fixed_places = (*self.fixed_places, block)
        return feature

    def _is_fmri(self, block):
        """Return whether the columns of a block are pairs or means of regions."""
        return block.startswith("fmri_") or self.modalities == ("fmri",)

    def _names(self, feature):
        return [self._name(feature, modality) for modality in self.modalities]

    def _name(self, feature, modality):
        if modality not in self.modalities:
            raise unseen_modality(modality, self.modalities)
        return feature.name if len(self.modalities) == 1 else f"{modality}_{feature.name}"


def signals_for(feature, modality, batch):
    """Return samples (n,) and signals of a WindowBatch that a feature is computed from."""
    windows = batch.windows[modality]
    index, sample = batch.present(modality)
    if feature.name == Evoked.name and windows.whole is not None:
        # A course is that of the whole sample.
        sample = np.unique(sample)
        return sample, windows.whole[sample - batch.sample.min()]
    return sample, windows.signals[index]


def _union(names, more):
    """Join names in order, each once."""
    return tuple(dict.fromkeys((*names, *more)))


def _lacks_orientations(signals):
    """Return whether all sensors are gradiometers without a direction."""
    is_grad = set(signals.ch_types) == {"grad"}
    return is_grad and not np.any(signals.ch_ori)
