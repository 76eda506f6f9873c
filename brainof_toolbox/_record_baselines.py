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

from ._baselines import BandPower, LogisticHead
from .io._records import is_record, read_record
from .signals import MODALITIES, PairedSignals, as_parts

_UNITS = {"eeg": 1e-5, "mag": 1e-13, "grad": 1e-12, "bold": 1.0}


def make_record_baselines(
    modalities, *, masker=None, memory=None, on_missing="raise", is_regression=False
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
    on_missing : str
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
        features = ModalityFeatures(names, masker, memory, on_missing)
        fill = SimpleImputer(keep_empty_features=True)
        return make_pipeline(features, fill, StandardScaler(), head)

    return {title: pipeline(names) for title, names in chosen.items()}


class ModalityFeatures(TransformerMixin, BaseEstimator):
    """Band power of the sensors, correlations between the regions; in fMRI trials their means.

    Channels are those that every training sample with the modality has; a sample without the
    modality, or without one of these channels, gets NaN in the features that need it.

    Parameters
    ----------
    modalities : tuple of str
        Which to use.
    masker : object
        Parcellation of images.
    memory : str | joblib.Memory | None
        Cache of masked series.
    on_missing : str
        What happens to sensors without a position.
    """

    def __init__(self, modalities, masker=None, memory=None, on_missing="raise"):
        self.modalities = modalities
        self.masker = masker
        self.memory = memory
        self.on_missing = on_missing

    def fit(self, X, y=None):
        """Find the channels that the training samples share."""
        self.ch_names_ = {}
        samples = list(self._read(X))
        runs = [parts["fmri"] for parts in samples if "fmri" in parts]
        self.has_trials_ = any(run.has_baseline for run in runs)
        for name in self.modalities:
            found = [part[name].ch_names for part in samples if name in part]
            if not found:
                raise ValueError(f"No training sample has {name}: leave it out.")
            shared = set(found[0]).intersection(*found[1:])
            self.ch_names_[name] = [channel for channel in found[0] if channel in shared]
            if not shared:
                raise ValueError(f"The training samples share no {name} channel.")
        return self

    def transform(self, X):
        """Features (n_samples, n_features)."""
        check_is_fitted(self)
        rows = []
        for parts in self._read(X):
            rows.append(
                np.concatenate([self._features(name, parts.get(name)) for name in self.modalities])
            )
        return np.stack(rows)

    def _features(self, name, part):
        names = self.ch_names_[name]
        if part is None:
            sfreq = 250.0 if name != "fmri" else 1.0  # only the number of features matters
            size = self._compute(name, np.zeros((1, len(names), 1024)), sfreq).size
            return np.full(size, np.nan)
        at = {channel: i for i, channel in enumerate(part.ch_names)}
        data = np.full((1, len(names), part.shape[2]), np.nan)
        for row, channel in enumerate(names):
            if channel in at:
                unit = _UNITS[part.ch_types[at[channel]]]
                data[0, row] = part.data[0, at[channel]] / unit
        return self._compute(name, data, part.sfreq)

    def _compute(self, name, data, sfreq):
        if name != "fmri":
            return BandPower(sfreq).transform(data)[0]
        if self.has_trials_:
            return data[0].mean(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):  # a constant region gives NaN
            correlations = np.atleast_2d(np.corrcoef(data[0]))
        upper = correlations[np.triu_indices(len(correlations), 1)]
        return np.arctanh(np.clip(upper, -0.9999, 0.9999))

    def _read(self, X):
        """Yield one dict of Signals per sample."""
        for item in X if not hasattr(X, "parts") else [X]:
            if is_record(item):
                wanted = {k: v for k, v in item.items() if k not in MODALITIES}
                there = [m for m in self.modalities if item.get(m) is not None]
                if not there:
                    yield {}
                    continue
                if "fmri" not in there:
                    wanted = {k: v for k, v in wanted.items() if k not in ("confounds", "t_r")}
                wanted.update({m: item[m] for m in there})
                item = read_record(
                    wanted, masker=self.masker, memory=self.memory, on_missing=self.on_missing
                )
            for i in range(len(item)):
                one = item[i]
                lacks = one.is_missing if isinstance(one, PairedSignals) else {}
                yield {
                    name: part
                    for name, part in as_parts(one).items()
                    if name in self.modalities and not np.any(lacks.get(name, False))
                }
