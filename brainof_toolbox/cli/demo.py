"""The command ``brainof demo``: decode example recordings and draw the scores."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np

from .decode import add_decode, decoder_name, format_scores, score
from .options import add_checkpoint_option, add_command, make_network_options

_FISTS = {"T1": "left", "T2": "right"}
_EVENTS = ("--event-id", *_FISTS, "--tmin", "0.5", "--tmax", "3.5")
#: Modalities of the simulated recordings by their heading.
VIEWS = {"EEG": ("eeg",), "MEG": ("meg",), "fMRI": ("fmri",), "all three": ("fmri", "eeg", "meg")}


def add_demo(commands, parents):
    """Add the command to the parsers of commands."""
    demo = add_command(
        commands,
        "demo",
        lambda options: run_demo(options.data, options.figure, options.checkpoint),
        parents,
        help="decode example recordings and draw the scores",
    )
    demo.add_argument(
        "--data", help="folder of EEG recordings (default: BRAINOF_DATA, else simulated)"
    )
    demo.add_argument("--figure", default="brainof_demo.png", help="file for the figure")
    add_checkpoint_option(demo)


def run_demo(data=None, figure="brainof_demo.png", checkpoint="brainof-tiny", show=print):
    """Decode recordings across runs or subjects, print the comparisons and draw them."""
    from ..estimators import BrainOFClassifier

    files = _find_files(data)
    classifier = BrainOFClassifier(checkpoint, random_state=0)
    found = _run_recording(files, classifier, show) if files else _run_simulated(classifier, show)
    if checkpoint is None:
        show("\nUNTRAINED weights: the network's features are random.")
    title = "Left against right hand, real EEG" if files else "Rest against task, SIMULATED"
    show(f"\nFigure: {_draw(found, title, figure)}")
    return found


def _run_recording(files, classifier, show):
    from .decoding_data import read_decoding_data  # other commands need no reader

    parser = ArgumentParser()
    add_decode(parser.add_subparsers(), [make_network_options()])
    data = read_decoding_data(files, parser.parse_args(["decode", *map(str, files), *_EVENTS]))
    data = replace(data, y=np.array([_FISTS[name] for name in data.y]), grouping="runs")
    epochs = data.X[0]
    sfreq, seconds = epochs.info["sfreq"], len(epochs.times) / epochs.info["sfreq"]
    show(f"Recording: real EEG, executed left and right fists, {files[0].parent}")
    size = f"{len(epochs.ch_names)} channels, {sfreq:g} Hz"
    show(f"{len(data.y)} trials of {seconds:.3g} s, {size}\n")
    found = score(data, classifier, verbose=True)
    show(format_scores(found, data, classifier))
    return {"EEG": found}


def _run_simulated(classifier, show):
    from .. import baselines
    from .._utils.logging import progress
    from ..datasets import make_paired_signals
    from ..evaluation import compare

    signals, y, subjects = make_paired_signals(10, n_subjects=8, random_state=0)
    show(
        "Recordings: SIMULATED EEG, MEG and fMRI at once (real EEG: BRAINOF_DATA or --data)\n"
        "Each modality has its own part of the difference between rest and task.\n"
        f"{len(y)} samples of {len(set(subjects))} subjects, {_describe(signals)}"
    )
    found, network = {}, {decoder_name(classifier): classifier}
    for title, names in progress(VIEWS.items(), description="Decoding"):
        X = signals if len(names) > 1 else signals.by_modality[names[0]]
        classical = baselines.for_data(X, y)
        if len(names) > 1:  # those of one modality have been shown
            classical = {"all classical": classical["all classical"]}
        found[title] = compare({**network, **classical}, X, y, groups=subjects)
        show(f"\n{title}: {found[title]}")
    return found


def _describe(signals):
    fmri, eeg, meg = (signals.by_modality[name] for name in ("fmri", "eeg", "meg"))
    return (
        f"{len(eeg.ch_names)} electrodes and {len(meg.ch_names)} coils for "
        f"{eeg.data.shape[2] / eeg.sfreq:g} s, {len(fmri.ch_names)} regions for "
        f"{fmri.data.shape[2] / fmri.sfreq:g} s"
    )


def _draw(found, title, path):
    """Draw one panel per comparison, and save the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = min(2, len(found))
    n_rows = -(-len(found) // n_columns)
    figure = Figure(figsize=(7.5 * n_columns, 4.2 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever the backend
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, (name, comparison) in zip(panels, found.items(), strict=True):
        comparison.plot(axes)
        axes.set_title(name)
    figure.suptitle(title)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


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
