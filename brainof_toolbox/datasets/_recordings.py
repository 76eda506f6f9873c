"""Simulated recordings: seeded, in SI units, with effects that a decoder should detect.

Background, alpha and mu rhythms and an evoked response of dipoles in a sphere, as measured by
electrodes, magnetometers and planar gradiometers; the physics is in ``physics.py``.
"""

from __future__ import annotations

import numpy as np

from .._utils.validation import check_number, check_option
from ..io.channels import template_montage
from ._docs import fill_dataset_doc
from .head import draw_head, record
from .physics import helmet

KINDS = ("eeg", "meg", "eeg+meg")
EFFECTS = {
    "mu": ("left", "right"),
    "alpha": ("closed", "open"),
    "evoked": ("standard", "target"),
}

FIRST_NAMES = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2 FC5 FC1 FC2 FC6 CP5 CP1 CP2 CP6 "
    "PO7 PO8 Oz FC3 FC4 CP3 CP4 AF3 AF4 AF7 AF8 F1 F2 F5 F6 FT7 FT8 FCz C1 C2 C5 C6 TP7 TP8 CPz "
    "P1 P2 P5 P6 POz PO3 PO4 Iz AFz FT9 FT10 TP9"
).split()


@fill_dataset_doc
def make_raw(
    kind="eeg",
    *,
    n_channels=None,
    sfreq=250.0,
    duration=60.0,
    task=None,
    effect_size=1.0,
    line_freq=50.0,
    blinks=False,
    random_state=0,
):
    """Simulate a continuous recording.

    Parameters
    ----------
    %(kind)s
    duration : float
        Length in seconds.
    task : str | None
        ``None`` is rest. ``"hands"``: a cue for a hand every 4 s, in balanced random order, as
        annotations ``left`` and ``right`` of 3 s, and a lower contralateral mu rhythm.
    effect_size : float
        Reduction of the mu rhythm: 0 for none, 1 (default) to a quarter of its amplitude.
    %(line_freq)s
    %(blinks)s
    %(random_state)s

    Returns
    -------
    raw : mne.io.RawArray
        In V, T and T/m, with positions in the head frame.

    References
    ----------
    Forward models: EEG :footcite:p:`berg1994fast`, MEG :footcite:p:`sarvas1987basic`.

    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox.datasets import make_raw
    >>> raw = make_raw(n_channels=8, duration=20, task="hands")
    >>> raw.annotations.count()
    {'left': 2, 'right': 2}
    """
    import mne

    check_option("task", task, (None, "hands"))
    check_number("effect_size", effect_size, low=0, high=2)
    rng = np.random.default_rng(random_state)
    info = make_info(kind, n_channels=n_channels, sfreq=sfreq)
    n_times = _count_times(duration, sfreq)
    head = draw_head(info, rng)
    sides, envelopes = [], np.ones((1, 4, n_times))
    if task == "hands":
        n_trials = int((duration - 1.0) // 4.0)
        if n_trials < 2:
            raise ValueError(f"task='hands' needs a duration of at least 9 s, got {duration:g}.")
        sides = rng.permutation(np.arange(n_trials) % 2)
        for trial, side in enumerate(sides):
            start = int((1.0 + 4.0 * trial) * sfreq)
            envelopes[0, 3 - side, start : start + int(3.0 * sfreq)] = _attenuation(effect_size)
    data = record(info, head, rng, 1, n_times, envelopes, None, line_freq, blinks)[0]
    raw = mne.io.RawArray(data, info, verbose="error")
    if len(sides):
        names = [EFFECTS["mu"][side] for side in sides]
        onsets = 1.0 + 4.0 * np.arange(len(sides))
        raw.set_annotations(mne.Annotations(onsets, 3.0, names))
    return raw


@fill_dataset_doc
def make_epochs(
    kind="eeg",
    *,
    n_channels=None,
    sfreq=128.0,
    effect="mu",
    effect_size=1.0,
    n_epochs=60,
    duration=2.0,
    line_freq=50.0,
    random_state=0,
):
    """Simulate the epochs of one subject, two classes in balanced random order.

    Parameters
    ----------
    %(kind)s
    %(effect)s
    %(line_freq)s
    %(random_state)s

    Returns
    -------
    epochs : mne.EpochsArray
        In V, T and T/m, with the classes in ``event_id``.

    Examples
    --------
    >>> from brainof_toolbox.datasets import make_epochs
    >>> epochs = make_epochs("eeg+meg", n_epochs=4, n_channels=8)
    >>> epochs.get_data("meg").shape
    (4, 102, 256)
    """
    info = make_info(kind, n_channels=n_channels, sfreq=sfreq)
    rng = np.random.default_rng(random_state)
    data, labels = _trials(info, rng, effect, effect_size, n_epochs, duration, line_freq)
    return _to_epochs(data, labels, info, effect, None)


@fill_dataset_doc
def make_study(
    n_subjects=8,
    *,
    kind="eeg",
    n_channels=None,
    sfreq=128.0,
    effect="mu",
    effect_size=1.0,
    n_epochs=40,
    duration=2.0,
    line_freq=50.0,
    random_state=0,
):
    """Simulate the epochs of several subjects with different heads.

    Subjects differ in the positions, directions, strengths and frequencies of their sources and in
    the noise of their sensors.

    Parameters
    ----------
    n_subjects : int
        Number of subjects; more of them do not change the first ones.
    %(kind)s
    %(effect)s
    %(line_freq)s
    %(random_state)s

    Returns
    -------
    epochs : mne.EpochsArray
        All subjects, one after the other, with ``epochs.metadata["subject"]``.

    Examples
    --------
    >>> from brainof_toolbox.datasets import make_study
    >>> epochs = make_study(n_subjects=2, n_epochs=4, n_channels=8)
    >>> len(epochs), sorted(epochs.event_id), list(epochs.metadata["subject"].unique())
    (8, ['left', 'right'], ['01', '02'])
    """
    check_number("n_subjects", n_subjects, low=1, integer=True)
    info = make_info(kind, n_channels=n_channels, sfreq=sfreq)
    rngs = np.random.default_rng(random_state).spawn(n_subjects)
    made = [_trials(info, r, effect, effect_size, n_epochs, duration, line_freq) for r in rngs]
    subjects = np.repeat([f"{i:02d}" for i in range(1, n_subjects + 1)], n_epochs)
    data, labels = (np.concatenate(parts) for parts in zip(*made, strict=True))
    return _to_epochs(data, labels, info, effect, subjects)


@fill_dataset_doc
def make_info(kind="eeg", *, n_channels=None, sfreq=250.0):
    """Make the measurement info of a simulated recording.

    Parameters
    ----------
    %(kind)s

    Returns
    -------
    info : mne.Info
        With 10-05 template positions, and MEG positions of a helmet around the same head.

    Raises
    ------
    ValueError
        If a parameter is invalid.
    """
    import mne
    from mne.io.constants import FIFF

    check_option("kind", kind, KINDS)
    check_number("sfreq", sfreq, low=60)
    n_eeg = n_meg = 0
    if "eeg" in kind:
        limit = len(FIRST_NAMES)
        n_eeg = 32 if n_channels is None else n_channels
        check_number("n_channels", n_eeg, low=1, high=limit, integer=True)
    if "meg" in kind:
        n_meg = 102 if n_channels is None or n_eeg else n_channels
        check_number("n_channels", n_meg, low=3, high=306, integer=True)
        if n_meg % 3:
            raise ValueError(f"'n_channels' of MEG must be a multiple of 3, got {n_meg}.")
    names = list(FIRST_NAMES[:n_eeg])
    names += [f"MEG{place + 1:03d}{coil}" for place in range(n_meg // 3) for coil in (1, 2, 3)]
    types = ["eeg"] * n_eeg + ["mag", "grad", "grad"] * (n_meg // 3)
    info = mne.create_info(names, sfreq, types)
    if n_eeg:
        info.set_montage(template_montage(), on_missing="ignore")
    for channel, (r, frame, kind_of_coil) in zip(info["chs"][n_eeg:], helmet(n_meg // 3)):
        channel["loc"] = np.concatenate([r, frame.ravel()])
        channel["coil_type"] = getattr(FIFF, kind_of_coil)
        channel["coord_frame"] = FIFF.FIFFV_COORD_DEVICE
    if n_meg:
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", np.eye(4))
    return info


def _trials(info, rng, effect, effect_size, n_epochs, duration, line_freq):
    """Simulate trials of one subject: data (n_epochs, n_channels, n_times), labels 0 or 1."""
    check_option("effect", effect, tuple(EFFECTS))
    check_number("effect_size", effect_size, low=0, high=2)
    check_number("n_epochs", n_epochs, low=2, integer=True)
    n_times = _count_times(duration, info["sfreq"])
    head = draw_head(info, rng)
    labels = rng.permutation(np.arange(n_epochs) % 2)
    envelopes, evoked = np.ones((n_epochs, 4, n_times)), None
    if effect == "mu":
        envelopes[np.arange(n_epochs), 3 - labels] = _attenuation(effect_size)
    elif effect == "alpha":
        envelopes[labels == 1, :2] = _attenuation(effect_size)
    else:
        times = np.arange(n_times) / info["sfreq"]
        evoked = np.exp(-((times - 0.3) ** 2) / (2 * 0.06**2))
        evoked = (1 + 2 * effect_size * labels)[:, None] * evoked
    return record(info, head, rng, n_epochs, n_times, envelopes, evoked, line_freq, False), labels


def _attenuation(effect_size):
    return np.clip(1.0 - 0.75 * effect_size, 0.0, 1.0)


def _count_times(duration, sfreq):
    check_number("duration", duration, low=8 / sfreq)
    return int(round(duration * sfreq))


def _to_epochs(data, labels, info, effect, subjects):
    import mne
    import pandas as pd

    names = EFFECTS[effect]
    events = np.stack([np.arange(len(data)) * data.shape[2], labels * 0, labels + 1], axis=1)
    metadata = pd.DataFrame({"label": np.array(names)[labels]})
    if subjects is not None:
        metadata["subject"] = subjects
    event_id = {name: code for code, name in enumerate(names, 1)}
    return mne.EpochsArray(
        data, info, events, event_id=event_id, metadata=metadata, verbose="error"
    )
