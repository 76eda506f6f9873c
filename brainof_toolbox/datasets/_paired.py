"""Simulated simultaneous EEG, MEG and fMRI from common sources, as recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .._utils.validation import check_number, check_option
from ..signals import MODALITIES
from ._docs import check_paired, fill_dataset_doc
from ._paired_runs import draw_person, simulate_run
from .forward import make_sensors
from .sources import source_table


@dataclass(frozen=True, eq=False, repr=False)
class PairedRecordings(Sequence):
    """Sequence of simulated records, as returned by :func:`make_paired_recordings`.

    Parameters
    ----------
    records : list of dict
        One per subject and run: ``"subject"``, ``"run"``, ``"task"``, ``"t_r"``, and the available
        modalities, ``"fmri"``, ``"eeg"`` and ``"meg"``.
    labels : ndarray of str | None
        Sex of the subject of each record for ``label="group"``; None for ``label="state"``, with
        labels in the annotations.
    participants : pandas.DataFrame
        ``participant_id``, ``sex`` and ``age``, one row per subject.
    events : pandas.DataFrame
        For ``label="state"`` the events of every run: ``subject``, ``run``, ``onset`` and
        ``duration`` in s, ``trial_type``.
    root : pathlib.Path | None
        Folder of the BIDS dataset, if written.
    """

    records: list
    labels: np.ndarray | None
    participants: object
    events: object = None
    root: Path | None = field(default=None)

    @property
    def subject(self):
        """Subject of each record, for ``groups``."""
        return tuple(record["subject"] for record in self.records)

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return self.records[index]

    def __repr__(self):
        counts = {name: sum(name in record for record in self.records) for name in MODALITIES}
        have = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"<PairedRecordings | {len(self)} records: {have}>"


@fill_dataset_doc
def make_paired_recordings(
    n_subjects=8,
    *,
    modalities=("fmri", "eeg", "meg"),
    effect_size=1.0,
    views="shared",
    missing=0.0,
    montage="10-20",
    n_meg=30,
    sfreq=128.0,
    t_r=2.0,
    noise_level=1.0,
    n_runs=1,
    duration=120.0,
    label="group",
    voxel_size=8,
    block_duration=20.0,
    line_freq=50.0,
    blinks=True,
    output="recordings",
    masker=None,
    write_bids=None,
    random_state=0,
):
    """Simulate simultaneous EEG, MEG and fMRI of several subjects from common sources.

    Each of 82 sources in the brain has a slowly changing level of activity, which determines the
    amplitude of its 1/f background and of its alpha, mu, beta and theta rhythms. EEG and MEG are
    computed with MNE's four-shell sphere model; BOLD is the power of the same activity, convolved
    with a haemodynamic response and spread over the voxels around each source.

    Parameters
    ----------
    %(paired)s
    n_runs : int
        Number of runs per subject.
    duration : float
        Length of a run in seconds, at least 20.
    label : str
        ``"group"``: every subject has a ``sex`` with an effect (F against M: weaker and less
        coherent alpha, stronger and more coherent beta and theta, larger and more global slow
        changes of BOLD), and an ``age`` in years with a graded effect (slower, weaker alpha,
        smaller slow changes). Both effects are arbitrary, not findings about people.
        ``"state"``: blocks of ``rest`` and ``task`` alternate in every run, cued by annotations
        that last as long as the block; in task blocks alpha and mu are lower, beta and theta
        higher and more coherent, BOLD is higher in sensory, motor and control regions and lower
        in the default mode, and every 2 s a ``stimulus`` evokes responses. Sex and age then have
        no effect.
    voxel_size : int
        Edge of a voxel in whole mm. Parcels of an atlas that are smaller than this disappear.
    block_duration : float
        Length of a block in seconds (``label="state"``).
    %(line_freq)s
    %(blinks)s
    output : str
        ``"recordings"`` (:class:`mne.io.RawArray` and :class:`nibabel.nifti1.Nifti1Image`), or
        ``"signals"``: one-sample :class:`~brainof_toolbox.signals.Signals`.
    masker : object
        Only for ``output="signals"``: any atlas accepted by :func:`~brainof_toolbox.from_nifti`.
    write_bids : path-like | None
        A new or empty folder: the dataset is also written there, as BrainVision, FIF and NIfTI,
        with events and participants. Task ``rest`` or ``blocks``.
    %(random_state)s

    Returns
    -------
    recordings : PairedRecordings
        ``.records``, ``.labels``, ``.participants``, ``.events``.

    Notes
    -----
    *Realistic*: units, amplitudes and spectra of all three modalities (compared with real
    recordings in the documentation), topographies, the blindness of MEG to radial sources, volume
    conduction, coherent rhythms, a haemodynamic lag of about 5 s, correlation of regions that
    falls with distance and is high between mirror images, differences between subjects in head
    size, strength and frequency of their sources, noise and haemodynamic delay.

    *Not realistic*: the head is a sphere and the same for all but its size, and the 82 sources are
    points. Anatomy, gyri, the orientation of real cortex, conduction delays, nonlinear dynamics,
    epileptic or sleep activity are absent. Electrodes have no impedance, reference (potentials
    are relative to the mean over the sphere) or scanner artefacts, and MEG inside an MR scanner
    does not exist: "simultaneous" is an idealisation. There is no head motion. Images are in MNI
    space, without anatomy, distortion or slice timing. Effects are chosen, not measured: success
    here shows that a decoder runs, not that it works on real recordings.

    References
    ----------
    Forward models: EEG :footcite:p:`berg1994fast`, MEG :footcite:p:`sarvas1987basic`.

    .. footbibliography::
    """
    options = dict(locals())
    _check(options)
    table = source_table(views)
    records, people, events = [], [], []
    for number, rng in enumerate(np.random.default_rng(random_state).spawn(n_subjects)):
        traits, *of_runs = rng.spawn(1 + n_runs)
        person = draw_person(traits, number, table)
        people.append(person)
        for run, of_run in enumerate(of_runs, 1):
            record, table_of_events = simulate_run(of_run, person, table, run, options)
            records.append(record)
            events.append(table_of_events)
    return _collect(records, people, events, options)


def _check(options):
    check_paired(options)
    check_option("label", options["label"], ("group", "state"))
    check_option("output", options["output"], ("recordings", "signals"))
    check_number("n_runs", options["n_runs"], low=1, integer=True)
    check_number("duration", options["duration"], low=20)
    check_number("t_r", options["t_r"], low=0.1, high=10)
    check_number("voxel_size", options["voxel_size"], low=2, high=20, integer=True)
    if options["label"] == "state":  # at least one block of each type
        most = options["duration"] / 2
        check_number("block_duration", options["block_duration"], low=4, high=most)
    if options["line_freq"] is not None:
        check_number("line_freq", options["line_freq"], low=1)
    if options["write_bids"] is not None and options["output"] != "recordings":
        raise ValueError("write_bids needs output='recordings'.")
    if options["masker"] is not None and options["output"] != "signals":
        raise ValueError("'masker' is used only with output='signals'; pass it to the reader.")
    for name in ("eeg", "meg"):
        make_sensors(name, options)


def _collect(records, people, events, options):
    import pandas as pd

    participants = pd.DataFrame(people)[["subject", "sex", "age"]]
    sex = participants.set_index("subject")["sex"]
    participants["subject"] = "sub-" + participants["subject"]
    participants = participants.rename(columns={"subject": "participant_id"})
    is_group = options["label"] == "group"
    labels = np.array([sex[r["subject"]] for r in records]) if is_group else None
    rows = [
        (record["subject"], record["run"], *event)
        for record, events_of_run in zip(records, events, strict=True)
        for event in sorted(events_of_run)
    ]
    table = pd.DataFrame(rows, columns=["subject", "run", "onset", "duration", "trial_type"])
    root = None
    if options["write_bids"] is not None:
        from ._paired_bids import write_dataset

        root = write_dataset(options["write_bids"], records, participants, table, options)
    if options["output"] == "signals":
        records = [_as_signals(record, options["masker"]) for record in records]
    return PairedRecordings(records, labels, participants, table, root)


def _as_signals(record, masker):
    from ..io import from_nifti, from_raw

    who = {name: record[name] for name in ("subject", "task", "run")}
    made = dict(record)
    for name in MODALITIES:
        if name == "fmri" and name in record:
            made[name] = from_nifti(record[name], masker=masker, t_r=record["t_r"], **who)
        elif name in record:
            labels = {key: (value,) for key, value in who.items()}
            made[name] = from_raw(record[name]).replace(**labels)
    return made
