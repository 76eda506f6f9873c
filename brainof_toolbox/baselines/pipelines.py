"""Choose the classical decoders that apply to given samples."""

from __future__ import annotations

from importlib.util import find_spec

from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.utils.multiclass import type_of_target

from ..io.inputs import ReadOptions, open_samples
from ..io.records import is_record
from ..signals import MODALITIES, PairedSignals, Signals, as_parts
from .channels import BANDS, ChannelFeatures, SharedChannels, read_wanted, split_records
from .decoders import BalancedLDA, LogisticHead, RidgeHead, SpatialPatterns, TangentSpace

_BAND = ((8.0, 30.0),)
_MAX_FEATURES = 600  # of averaged samples
_MAX_BANK = 128  # channels: beyond it, a bank of covariances needs too much memory
_LONGEST = 60.0  # s: a longer sample is a recording, not locked to an event
_FEWEST_TIMES = {"sensors": 16, "regions": 10}  # for spectra and correlations


def for_data(X, y=None, *, info=None, masker=None, memory=None, is_regression=None):
    """Make the classical decoders that apply to the data.

    Each is a scikit-learn pipeline that takes what the estimators take, in any montage, rate and
    length. Means, filters and strengths are fitted to training samples only. Classifiers give
    classes equal weight. A modality or channel that a sample lacks counts as the training mean.

    Parameters
    ----------
    X : object
        Samples, as for :class:`~brainof_toolbox.BrainOFClassifier`. One sample of each modality
        is read to see what it is.
    y : array-like, shape (n_samples,) | None
        Labels or targets; only their type is used.
    info : mne.Info | None
        Channels and sampling rate; needed where ``X`` is an array.
    masker : object
        Parcellation of images, as in :func:`~brainof_toolbox.from_nifti`.
    memory : str | joblib.Memory | None
        Cache of masked images.
    is_regression : bool | None
        Whether targets are continuous; ``None`` infers it from ``y``, as scikit-learn does.

    Returns
    -------
    decoders : dict of str -> Pipeline
        EEG and MEG: ``"tangent space"`` (8 to 30 Hz) [1]_, ``"filter-bank tangent space"`` (five
        bands, up to 128 channels) and ``"band power"``, each with logistic or ridge regression.
        Samples up to 60 s that are not whole recordings also have ``"CSP + LDA"``
        :footcite:p:`blankertz2008optimizing` and ``"shrinkage LDA"`` on samples averaged over
        bins of 50 ms or longer (for regression: ``"averaged samples"``). fMRI:
        ``"correlations"`` of regions (Fisher's z) and, where samples are trials or maps with a
        reference level, ``"region means"``. With several modalities, names begin with the
        modality, as ``"eeg: band power"``, and ``"all classical"`` puts one set of features of
        each side by side.

    Raises
    ------
    ValueError, TypeError
        If ``X`` is no accepted form of samples, or an array without ``info``.

    Notes
    -----
    The mean of covariances is the Riemannian one where pyRiemann is installed
    (``pip install brainof_toolbox[riemann]``), else the log-Euclidean one, and the name is then
    ``"tangent space (log-Euclidean)"``.

    References
    ----------
    .. [1] A. Barachant et al. (2012), IEEE Transactions on Biomedical Engineering 59, 920-928.
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox import baselines, datasets
    >>> epochs = datasets.make_epochs(n_epochs=8, n_channels=4)
    >>> decoder = baselines.for_data(epochs)["CSP + LDA"]
    >>> decoder.fit(epochs, epochs.events[:, 2]).predict(epochs).shape
    (8,)
    """
    if is_regression is None:
        is_regression = y is not None and type_of_target(y).startswith("continuous")
    reading = {"info": info, "masker": masker, "memory": memory}
    first = read_first(X, **reading)
    decoders = {}
    for name, (part, is_recording) in first.items():
        kinds = _fmri_kinds if name == "fmri" else _sensor_kinds
        prefix = f"{name}: " if len(first) > 1 else ""
        for title, (kind, options, steps) in kinds(part, is_recording, is_regression).items():
            features = ChannelFeatures({name: kind}, **options, **reading)
            decoders[prefix + title] = _pipeline(features, steps)
    if len(first) > 1:
        kinds = {name: _side_by_side(part) for name, (part, _) in first.items()}
        head = RidgeHead() if is_regression else LogisticHead()
        decoders["all classical"] = _pipeline(ChannelFeatures(kinds, **reading), [head])
    return decoders


def _pipeline(features, steps):
    fill = SimpleImputer(keep_empty_features=True)
    return make_pipeline(features, SharedChannels(tuple(features.kinds)), fill, *steps)


def _sensor_kinds(part, is_recording, is_regression):
    """Return title -> (kind of features, its options, steps) for EEG or MEG."""
    _, n_channels, n_times = part.shape
    head = RidgeHead if is_regression else LogisticHead
    has_riemann = find_spec("pyriemann") is not None
    metric, suffix = ("riemann", "") if has_riemann else ("logeuclid", " (log-Euclidean)")
    bank = tuple(BANDS.values())
    found = {}
    if n_times >= _FEWEST_TIMES["sensors"]:
        steps = [TangentSpace(metric), head()]
        found["tangent space" + suffix] = ("covariance", {"bands": _BAND}, steps)
        if n_channels <= _MAX_BANK:
            steps = [TangentSpace(metric, len(bank)), head()]
            found["filter-bank tangent space" + suffix] = ("covariance", {"bands": bank}, steps)
        found["band power"] = ("band power", {}, [head()])
    if is_recording and found:
        return found
    if n_times >= _FEWEST_TIMES["sensors"] and not is_regression:
        steps = [SpatialPatterns(), BalancedLDA("svd", None)]
        found["CSP + LDA"] = ("covariance", {"bands": _BAND}, steps)
    step = {"step": max(0.05, part.duration * n_channels / _MAX_FEATURES)}
    title = "averaged samples" if is_regression else "shrinkage LDA"
    found[title] = ("averaged samples", step, [RidgeHead() if is_regression else BalancedLDA()])
    return found


def _fmri_kinds(part, is_recording, is_regression):
    """Return title -> (kind of features, its options, steps) for fMRI."""
    head = RidgeHead if is_regression else LogisticHead
    is_long = part.shape[2] >= _FEWEST_TIMES["regions"]
    found = {}
    if is_long and part.shape[1] > 1:
        found["correlations"] = ("correlations", {}, [head()])
    if part.has_baseline or not found:
        found["region means"] = ("means", {}, [head()])
    return found


def _side_by_side(part):
    """Return the features of a modality beside others."""
    if part.modality != "fmri":
        return "band power"
    return "means" if part.has_baseline else "correlations"


def read_first(X, info=None, masker=None, memory=None):
    """Read one sample of each modality: modality -> (Signals, whether it is a whole recording)."""
    reading = ReadOptions(info, "placeholder", masker, memory)
    first = {}
    for part in split_records(X):
        for signals, is_recording in _read_one_of_each(part, first, reading):
            for name, own in as_parts(signals).items():
                first.setdefault(name, (own, is_recording or own.duration > _LONGEST))
    return {name: first[name] for name in MODALITIES if name in first}


def _read_one_of_each(part, known, reading):
    """Yield samples that may hold further modalities, without opening every file."""
    if is_record(part):
        for name in MODALITIES:
            if name not in known and part.get(name) is not None:
                in_memory = isinstance(part[name], (Signals, PairedSignals))
                yield read_wanted(part, [name], reading), not in_memory
        return
    items = part if isinstance(part, list) else [part]
    if not known:
        source = open_samples(part[:1] if isinstance(part, list) else part, reading)[0]
        yield source.read(slice(0, 1)), source.is_recording
    for item in items:
        if isinstance(item, (Signals, PairedSignals)):
            yield item[:1], False
