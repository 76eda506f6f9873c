"""The demo: from recordings to scores beside chance and classical decoders, and one figure."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .decode import Task, decoder_name, format_scores, make_decoders, score
from .options import add_checkpoint_option

_FISTS = {"T1": "left", "T2": "right"}
#: Simulated modalities by what the table calls them.
VIEWS = {"EEG": ("eeg",), "MEG": ("meg",), "fMRI": ("fmri",), "all three": ("fmri", "eeg", "meg")}


def add_demo(commands, parents):
    """Add the command to the parsers of commands."""
    demo = commands.add_parser("demo", parents=parents, help="decode recordings and show it")
    demo.add_argument(
        "--data", help="folder of EEG recordings (default: BRAINOF_DATA, else simulated)"
    )
    demo.add_argument("--figure", default="brainof_demo.png", help="where to save the figure")
    add_checkpoint_option(demo)
    demo.set_defaults(run=lambda found: run_demo(found.data, found.figure, found.checkpoint))


def run_demo(data=None, figure="brainof_demo.png", checkpoint="brainof-tiny", say=print):
    """Decode recordings across runs or subjects, and show it."""
    from ..estimators import BrainOFClassifier

    files = _find_files(data)
    classifier = BrainOFClassifier(checkpoint, random_state=0)
    run = _run_recording if files else _run_simulated
    scores, path = run(files, classifier, figure, say)
    say(f"\nFigure: {path}")
    return scores


def _run_recording(files, classifier, figure, say):
    epochs, groups = _real_epochs(files)
    say(f"Recording: real EEG, executed left and right fists, {files[0].parent}")
    names = {code: name for name, code in epochs.event_id.items()}
    y = np.array([names[code] for code in epochs.events[:, 2]])
    n, (_, n_channels, n_times) = len(epochs), epochs.get_data(copy=False).shape
    sfreq = epochs.info["sfreq"]
    say(f"{n} trials of {n_times / sfreq:.3g} s, {n_channels} channels, {sfreq:g} Hz\n")
    task = Task(epochs, y, groups, sfreq, "runs")
    decoders = make_decoders(task, classifier, 2)
    found = score(task, decoders, verbose=True)
    say(format_scores(found, task, decoders))
    from .demo_figures import plot_recording

    return {"EEG": found.scores}, plot_recording(found, epochs, y, figure)


def _run_simulated(files, classifier, figure, say):
    from .._utils.logging import progress
    from ..baselines.records import make_record_baselines
    from ..datasets import make_paired_signals
    from ..evaluation import compare

    signals, y, subjects = make_paired_signals(10, n_subjects=8, random_state=0)
    say(
        "Recordings: SIMULATED EEG, MEG and fMRI at once (real EEG: BRAINOF_DATA or --data)\n"
        "Each modality sees its own part of what sets task apart from rest.\n"
        f"{len(y)} samples of {len(set(subjects))} subjects, {_describe(signals)}"
    )
    scores = {}
    for what, names in progress(VIEWS.items(), description="Decoding"):
        X = signals if len(names) > 1 else signals.by_modality[names[0]]
        *_, classical = make_record_baselines(names).values()
        decoders = {decoder_name(classifier): classifier, "classical": classical}
        scores[what] = compare(decoders, X, y, groups=subjects).scores
    say(f"\n{_format_paired(scores)}")
    from .demo_figures import plot_paired

    return scores, plot_paired(scores, signals, y, figure)


def _describe(signals):
    fmri, eeg, meg = (signals.by_modality[name] for name in ("fmri", "eeg", "meg"))
    return (
        f"{len(eeg.ch_names)} electrodes and {len(meg.ch_names)} coils for "
        f"{eeg.data.shape[2] / eeg.sfreq:g} s, {len(fmri.ch_names)} regions for "
        f"{fmri.data.shape[2] / fmri.sfreq:g} s"
    )


def _format_paired(scores):
    """One line per modality, decoders side by side."""
    first = next(iter(scores.values()))
    one = next(iter(first.values()))
    lines = [
        f"Balanced accuracy, rest against task, in subjects left out of training: mean of "
        f"{len(one.folds)} folds, 95 % interval over {one.n_groups} subjects. Chance "
        f"{one.chance:.3f}.",
        "",
        "  ".join(["decoded from", *(name.ljust(22) for name in first)]).rstrip(),
    ]
    for what, row in scores.items():
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(s.mean, *s.interval) for s in row.values()]
        lines.append("  ".join([what.ljust(12), *(cell.ljust(22) for cell in cells)]).rstrip())
    if "untrained" in next(iter(first)):
        lines += ["", "UNTRAINED weights: the network's features are random."]
    return "\n".join(lines)


def _find_files(data):
    folder = data or os.environ.get("BRAINOF_DATA")
    if not folder:
        return []
    folder = Path(folder)
    for place in (folder / "eeg-motor-imagery", folder):
        files = sorted(place.glob("S[0-9][0-9][0-9]R[0-9][0-9].edf"))
        if files:
            return [file for file in files if file.name[:4] == files[0].name[:4]]
    if data:
        raise FileNotFoundError(
            f"No motor imagery recordings (S001R03.edf, ...) in {folder} or its folder "
            "'eeg-motor-imagery'. Leave --data out for simulated recordings."
        )
    return []


def _real_epochs(files):
    """Epochs of all runs with left and right fists, and the run of each."""
    import mne

    from ..io import read_recording
    from ..io.channels import template_montage

    parts, runs = [], []
    for file in files:
        raw = read_recording(file).load_data(verbose="error")
        mne.datasets.eegbci.standardize(raw)
        raw.set_montage(template_montage(), verbose="error")
        events, _ = mne.events_from_annotations(raw, {"T1": 1, "T2": 2}, verbose="error")
        ids = {name: code for code, name in enumerate(_FISTS.values(), 1)}
        parts.append(
            mne.Epochs(raw, events, ids, 0.5, 3.5, baseline=None, preload=True, verbose="error")
        )
        runs += [file.stem] * len(parts[-1])
    return mne.concatenate_epochs(parts, verbose="error"), np.array(runs)
