"""Texts that docstrings of simulated recordings share, and checks of their parameters."""

from __future__ import annotations

from .._utils.docs import fill_doc
from .._utils.validation import check_number, check_option
from ..signals import MODALITIES

DOCS = {
    "kind": """
kind : str
    ``"eeg"``, ``"meg"`` or ``"eeg+meg"``.
n_channels : int | None
    Number of electrodes, at most 64 (default 32); or of MEG channels, a multiple of 3 up to
    306, a magnetometer and two planar gradiometers at each position (default 102). With
    ``"eeg+meg"`` the number of electrodes.
sfreq : float
    Sampling rate in Hz, at least 60.
""",
    "effect": """
effect : str
    ``"mu"``: classes ``left`` and ``right``; the mu rhythm over the hemisphere opposite to the
    hand is lower. ``"alpha"``: classes ``closed`` and ``open``; the alpha rhythm at the back
    of the head is lower with open eyes. ``"evoked"``: classes ``standard`` and ``target``; a
    parietal deflection 300 ms after the start is larger in targets.
effect_size : float
    0 makes both classes equal; 1 (default) lowers the rhythm to a quarter, or triples the
    deflection.
n_epochs : int
    Number of epochs of each subject, at least 2.
duration : float
    Length of an epoch in seconds.
""",
    "line_freq": """
line_freq : float | None
    Line frequency in Hz; ``None``: no line noise.
""",
    "blinks": """
blinks : bool
    Add blinks, about every 4 s.
""",
    "random_state": """
random_state : int | numpy.random.Generator | None
    Seed; equal seeds give equal data.

Raises
------
ValueError
    If a parameter is invalid.
""",
    "paired": """
n_subjects : int
    Number of subjects; more of them do not change the first ones.
modalities : sequence of str
    Any of ``"fmri"``, ``"eeg"`` and ``"meg"``; leaving one out does not change the others.
effect_size : float
    0 removes all effects; at 1 (default) they are larger than most real ones.
views : str
    ``"shared"``: every modality depends on the same label. ``"separate"``: each depends on
    its own noisy copy of the label, drawn for each run, block or sample, so that combining
    modalities improves decoding. The effect in EEG is then in the alpha rhythm of radial
    sources, to which MEG is blind in a sphere; in MEG in the beta rhythm of tangential
    sources, mostly masked in EEG by muscle activity; in fMRI in the level of deep nuclei, far
    from the sensors of both. There are no evoked responses.
missing : float
    Probability that a record or sample lacks a modality; at least one is always kept.
montage : str | int | sequence of str
    Electrodes: ``"10-20"`` (19 of them), any name that
    :func:`mne.channels.get_builtin_montages` lists (all its electrodes), a number up to
    64, or names of the 10-05 system.
n_meg : int | str
    MEG channels: a multiple of 3 up to 306, a magnetometer and two planar gradiometers at each
    position of a simulated helmet; or ``"neuromag-306"``, the real helmet included in MNE.
sfreq : float
    Sampling rate of EEG and MEG in Hz, at least 60.
t_r : float
    Repetition time of fMRI in seconds.
noise_level : float
    Factor of sensor, muscle, scanner and physiological noise.
""",
}

fill_dataset_doc = fill_doc(DOCS)


def check_paired(options):
    """Refuse invalid parameters that both simulators of several modalities take."""
    modalities = options["modalities"]
    if isinstance(modalities, str) or not 0 < len(set(modalities)) == len(modalities):
        raise ValueError(f"'modalities' must be a list of different names, got {modalities!r}.")
    for name in modalities:
        check_option("modalities", name, MODALITIES)
    check_option("views", options["views"], ("shared", "separate"))
    check_number("n_subjects", options["n_subjects"], low=1, integer=True)
    check_number("effect_size", options["effect_size"], low=0, high=2)
    check_number("missing", options["missing"], low=0, high=1)
    check_number("sfreq", options["sfreq"], low=60)
    check_number("noise_level", options["noise_level"], low=0)
