"""One recording, from its file to a score beside two classical decoders, and one figure."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ._decode import Task, format_scores, make_decoders, score

_FISTS = {"T1": "left", "T2": "right"}
# Okabe and Ito's colours, which colour-blind readers tell apart; shapes do so in grey.
_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#555555", "^"))


def run_demo(data=None, figure="brainof_demo.png", checkpoint=None, say=print):
    """Decode left from right hand and show it.

    Parameters
    ----------
    data : path-like | None
        Folder with the EDF files of one subject of PhysioNet's motor imagery set, or that has them
        in ``eeg-motor-imagery``. ``None``: the folder named by ``BRAINOF_DATA``; without one, or
        without these files there, a simulated recording.
    figure : path-like
        Where to save the figure.
    checkpoint : path-like | str | None
        As in :class:`~brainof_toolbox.BrainOFClassifier`.
    say : callable
        Gets each message.

    Returns
    -------
    scores : dict of str -> Scores
        By decoder.

    Raises
    ------
    FileNotFoundError
        If ``data`` is given and holds no such file.
    """
    from .estimators import BrainOFClassifier

    files = _find_files(data)
    if files:
        epochs, groups, grouping = _real_epochs(files)
        say(f"Recording: real EEG, executed left and right fists, {files[0].parent}")
    else:
        epochs, groups, grouping = _simulated_epochs()
        say("Recording: SIMULATED EEG, left and right hand (a real one: BRAINOF_DATA or --data)")
    names = {code: name for name, code in epochs.event_id.items()}
    y = np.array([names[code] for code in epochs.events[:, 2]])
    n, (_, n_channels, n_times) = len(epochs), epochs.get_data(copy=False).shape
    sfreq = epochs.info["sfreq"]
    say(f"{n} trials of {n_times / sfreq:.3g} s, {n_channels} channels, {sfreq:g} Hz\n")
    task = Task(epochs, y, groups, sfreq, grouping)
    classifier = BrainOFClassifier(checkpoint, random_state=0)
    scores = score(task, make_decoders(task, classifier, 2), verbose=True)
    say(format_scores(scores, task))
    path = plot_demo(scores, epochs, y, figure, is_simulated=not files)
    say(f"\nFigure: {path}")
    return scores


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
            "'eeg-motor-imagery'. Leave --data out for a simulated recording."
        )
    return []


def _real_epochs(files):
    """Epochs of all runs with left and right fists, runs as groups."""
    import mne

    from .io import read_recording
    from .io._channels import template_montage

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
    return mne.concatenate_epochs(parts, verbose="error"), np.array(runs), "runs"


def _simulated_epochs():
    from .datasets import make_study

    epochs = make_study(4, n_epochs=24, random_state=0)
    return epochs, epochs.metadata["subject"].to_numpy(), "subjects"


def plot_demo(scores, epochs, y, path, *, is_simulated):
    """Draw scores by fold, and where mu power differs between the hands.

    Parameters
    ----------
    scores : dict of str -> Scores
        By decoder.
    epochs : mne.BaseEpochs
        What was decoded.
    y : ndarray of str
        ``"left"`` or ``"right"``.
    path : path-like
        Where to save.
    is_simulated : bool
        Whether the figure must say so.

    Returns
    -------
    path : Path
        The file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _plot_scores(left, scores)
    _plot_topography(figure, right, epochs, y)
    kind = "simulated EEG" if is_simulated else "real EEG"
    figure.suptitle(f"Left against right hand, {kind}", fontsize=12)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _plot_scores(axes, scores):
    first = next(iter(scores.values()))
    n_folds = len(first.folds)
    for k, ((name, one), (colour, marker)) in enumerate(zip(scores.items(), _STYLES)):
        shift = 0.2 * (k - (len(scores) - 1) / 2)
        look = {"color": colour, "marker": marker, "linestyle": "none", "markeredgecolor": "black"}
        axes.plot(np.arange(n_folds) + shift, one.folds["score"], ms=8, label=name, **look)
        low, high = one.interval
        reach = [[one.mean - low], [high - one.mean]]
        axes.errorbar(n_folds + shift, one.mean, reach, ms=10, capsize=4, ecolor="black", **look)
    axes.axhline(first.chance, color="black", linestyle="--", linewidth=1)
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate("chance", (1, first.chance), (4, 0), va="center", fontsize=9, **beside)
    axes.axvline(n_folds - 0.5, color="0.8", linewidth=1)
    labels = [", ".join(map(str, groups)) for groups in first.folds["test_groups"]]
    axes.set_xticks(range(n_folds + 1), [*labels, "mean, 95 %"])
    axes.set(ylim=(0, 1.02), xlim=(-0.5, n_folds + 0.5), xlabel="left out")
    axes.set_ylabel("balanced accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", fontsize=9)


def _plot_topography(figure, axes, epochs, y):
    import mne

    spectrum = epochs.compute_psd(fmin=8, fmax=13, picks="eeg", verbose="error")
    power = np.log10(spectrum.get_data(picks="eeg").mean(axis=2))
    difference = 10 * (power[y == "right"].mean(axis=0) - power[y == "left"].mean(axis=0))
    limit = np.abs(difference).max()
    info = mne.pick_info(epochs.info, mne.pick_types(epochs.info, eeg=True))
    # Lightness grows steadily along cividis: low and high differ in grey too.
    image, _ = mne.viz.plot_topomap(
        difference, info, axes=axes, cmap="cividis", vlim=(-limit, limit), contours=6, show=False
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.75)
    bar.set_label("power at 8-13 Hz, right minus left (dB)")
    axes.set_title("where the hands differ", fontsize=11)
