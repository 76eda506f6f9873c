"""Classical decoders for fMRI series and for records of several modalities.

Each is an ordinary scikit-learn pipeline; everything that is learned or chosen, is learned or
chosen inside the training samples.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..io import from_epochs, from_raw
from ..io.records import is_record, read_record
from ..signals import MODALITIES, PairedSignals, Signals, as_parts
from .arrays import BandPower, LogisticHead

_UNITS = {"eeg": 1e-5, "mag": 1e-13, "grad": 1e-12, "bold": 1.0}


def make_record_baselines(
    modalities, *, masker=None, memory=None, missing_positions="raise", is_regression=False
):
    """Make one classical decoder per modality, and one of all together.

    Parameters
    ----------
    modalities : sequence of str
        Of ``"fmri"``, ``"eeg"``, ``"meg"``.
    masker : object
        Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`.
    memory : str | joblib.Memory | None
        Cache of masked series.
    missing_positions : str
        What happens to sensors without a position.
    is_regression : bool
        Whether targets are continuous.

    Returns
    -------
    baselines : dict of str -> Pipeline
        ``"fmri: regions"`` (correlations between them; in trials their means), ``"eeg: band
        power"``, ... and ``"all classical"`` where there are several.
    """
    words = {"fmri": "regions", "eeg": "band power", "meg": "band power"}
    ordered = [name for name in MODALITIES if name in modalities]
    chosen = {f"{name}: {words[name]}": (name,) for name in ordered}
    if len(ordered) > 1:
        chosen["all classical"] = tuple(ordered)

    def pipeline(names):
        head = RidgeCV(np.logspace(-2, 4, 13)) if is_regression else LogisticHead()
        describe = DescribeRecords(names, masker, memory, missing_positions)
        fill = SimpleImputer(keep_empty_features=True)
        return make_pipeline(describe, SharedChannels(names), fill, StandardScaler(), head)

    return {title: pipeline(names) for title, names in chosen.items()}


class DescribeRecords(TransformerMixin, BaseEstimator):
    """Band power of the sensors, correlations between the regions; in fMRI trials their means.

    A sample's description depends on that sample alone.

    Parameters
    ----------
    modalities : tuple of str
        Which to use.
    masker : object
        Parcellation of images.
    memory : str | joblib.Memory | None
        Cache of masked series.
    missing_positions : str
        What happens to sensors without a position.
    """

    _is_frozen = True  # evaluation applies it once to all samples

    def __init__(self, modalities, masker=None, memory=None, missing_positions="raise"):
        self.modalities = modalities
        self.masker = masker
        self.memory = memory
        self.missing_positions = missing_positions

    def fit(self, X, y=None):
        """Nothing to learn."""
        return self

    def transform(self, X):
        """One dict per sample: by modality, names, features, and whether these are of pairs."""
        return [
            {name: (part.ch_names, *_describe(part)) for name, part in parts.items()}
            for parts in self._read(X)
        ]

    def _read(self, X):
        """Yield one dict of Signals per sample."""
        is_whole = isinstance(X, (Signals, PairedSignals)) or hasattr(X, "get_data")
        for item in [X] if is_whole else X:
            if is_record(item):
                item = self._read_record(item)
            elif hasattr(item, "get_data"):
                read = from_epochs if hasattr(item, "event_id") else from_raw
                item = read(item, missing_positions=self.missing_positions)
            for i in range(0 if item is None else len(item)):
                one = item[i]
                lacks = one.is_missing if isinstance(one, PairedSignals) else {}
                yield {
                    name: part
                    for name, part in as_parts(one).items()
                    if name in self.modalities and not np.any(lacks.get(name, False))
                }
            if item is None:
                yield {}

    def _read_record(self, record):
        """The wanted modalities of a record, or None when it has none of them."""
        there = [name for name in self.modalities if record.get(name) is not None]
        wanted = {name: record[name] for name in there}
        if "fmri" in there:
            wanted.update({key: record.get(key) for key in ("confounds", "t_r")})
        options = {
            "masker": self.masker,
            "memory": self.memory,
            "missing_positions": self.missing_positions,
        }
        return read_record(wanted, **options) if there else None


def _describe(part):
    """Features of one sample, and whether they are of pairs of channels."""
    # Shape (n_channels, n_bands), (n_channels, n_channels) or (n_channels, 1). Correlations are
    # Fisher's z, NaN for a constant region.
    unit = np.array([_UNITS[kind] for kind in part.ch_types])[:, None]
    data = part.data[0] / unit
    if part.modality != "fmri":
        power = BandPower(part.sfreq).transform(data[None])[0]
        return power.reshape(-1, len(data)).T, False
    if part.has_baseline:
        return data.mean(axis=1, keepdims=True), False
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.arctanh(np.clip(np.atleast_2d(np.corrcoef(data)), -0.9999, 0.9999)), True


class SharedChannels(TransformerMixin, BaseEstimator):
    """Features of the channels that every training sample with the modality has.

    A sample without the modality, or without one of these channels, gets NaN there.

    Parameters
    ----------
    modalities : tuple of str
        Which to use.
    """

    def __init__(self, modalities):
        self.modalities = modalities

    def fit(self, X, y=None):
        """Find the channels that the training samples share."""
        self.ch_names_, self.width_, self.is_pairs_ = {}, {}, {}
        for name in self.modalities:
            found = [sample[name] for sample in X if name in sample]
            if not found:
                raise ValueError(f"No training sample has {name}: leave it out.")
            shared = set(found[0][0]).intersection(*(names for names, _, _ in found[1:]))
            if not shared:
                raise ValueError(f"The training samples share no {name} channel.")
            self.ch_names_[name] = [channel for channel in found[0][0] if channel in shared]
            self.is_pairs_[name] = found[0][2]
            self.width_[name] = max(values.shape[1] for _, values, _ in found)
        return self

    def transform(self, X):
        """Features (n_samples, n_features)."""
        check_is_fitted(self)
        return np.stack(
            [
                np.concatenate([self._row(name, sample.get(name)) for name in self.modalities])
                for sample in X
            ]
        )

    def _row(self, name, described):
        names, is_pairs = self.ch_names_[name], self.is_pairs_[name]
        values = np.full((len(names), len(names) if is_pairs else self.width_[name]), np.nan)
        if described is not None:
            at = {channel: i for i, channel in enumerate(described[0])}
            there = [row for row, channel in enumerate(names) if channel in at]
            index = [at[names[row]] for row in there]
            if is_pairs:
                values[np.ix_(there, there)] = described[1][np.ix_(index, index)]
            else:  # a low sampling rate has fewer bands
                own = described[1][index][:, : values.shape[1]]
                values[there, : own.shape[1]] = own
        return values[np.triu_indices(len(names), 1)] if is_pairs else values.ravel()
