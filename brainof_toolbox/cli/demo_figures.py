"""The figures of the demo: every subject or run a point, beside what was recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..evaluation.plots import jitter

# Okabe and Ito's colours, which colour-blind readers tell apart; shapes do so in grey.
_STYLES = (("#0072B2", "o"), ("#D55E00", "s"))
_STATES = {"rest": ("#555555", "--"), "task": ("#0072B2", "-")}


def plot_recording(comparison, epochs, y, path):
    """Draw scores by fold, and where mu power differs between the hands."""
    figure = _make_figure((9.5, 4.0))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    comparison.plot(left)
    spectrum = epochs.compute_psd(fmin=8, fmax=13, picks="eeg", verbose="error")
    power = np.log10(spectrum.get_data(picks="eeg").mean(axis=2))
    difference = 10 * (power[y == "right"].mean(axis=0) - power[y == "left"].mean(axis=0))
    limit = np.abs(difference).max()
    image = _plot_topography(right, epochs.info, difference, (-limit, limit))
    bar = figure.colorbar(image, ax=right, shrink=0.75)
    bar.set_label("power at 8-13 Hz, right minus left (dB)")
    right.set_title("where the hands differ", fontsize=11)
    figure.suptitle("Left against right hand, real EEG", fontsize=12)
    return _save(figure, path)


def plot_paired(scores, signals, y, path):
    """Draw every subject's scores by modality, and what each modality shows."""
    figure = _make_figure((9.5, 7.0))
    layout = [["scores"] * 3, ["eeg", "meg", "fmri"]]
    places = figure.subplot_mosaic(layout, height_ratios=(1.25, 1), width_ratios=(1, 1.1, 1))
    _plot_subjects(places["scores"], scores)
    _plot_eeg(places["eeg"], signals.by_modality["eeg"], y)
    _plot_meg(places["meg"], signals.by_modality["meg"], y)
    _plot_fmri(places["fmri"], signals.by_modality["fmri"], y)
    figure.suptitle("Rest against task, SIMULATED EEG, MEG and fMRI", fontsize=12)
    return _save(figure, path)


def _make_figure(size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever the backend
    return figure


def _save(figure, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _plot_subjects(axes, scores):
    """Small points are subjects, large ones means; decoders side by side."""
    lowest, means = [0.35], {}
    for k, row in enumerate(scores.values()):
        for shift, (name, one), (colour, marker) in zip((-0.22, 0.18), row.items(), _STYLES):
            heights = one.by_group["score"].to_numpy()
            places = k + shift + jitter(heights[None], width=0.12)[0]
            look = {"color": colour, "marker": marker, "linestyle": "none"}
            axes.plot(places, heights, ms=6, alpha=0.65, mec="white", mew=0.5, **look)
            low, high = one.interval
            reach = [[one.mean - low], [high - one.mean]]
            look.update(ms=9, mec="black", ecolor="black", capsize=3, zorder=4)
            means[name], *_ = axes.errorbar(k + shift + 0.17, one.mean, reach, **look)
            lowest += [low, heights.min()]
    axes.set_xticks(range(len(scores)), scores)
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(max(min(lowest) - 0.05, -0.02), 1.02), xlim=(-0.5, len(scores) - 0.4))
    axes.set_xlabel(f"small: {one.n_groups} subjects, left out; large: mean, 95 % interval")
    _finish_scores(axes, one.chance)
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": len(means)}
    axes.legend(means.values(), means.keys(), frameon=False, fontsize=9, **above)


def _finish_scores(axes, chance):
    axes.axhline(chance, color="black", linestyle="--", linewidth=1, zorder=0)
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate("chance", (1, chance), (4, 0), va="center", fontsize=9, **beside)
    axes.set_ylabel("balanced accuracy")
    axes.spines[["top", "right"]].set_visible(False)


def _spectra(part):
    """Frequencies in Hz, and log10 power (n_samples, n_channels, n_freqs)."""
    from scipy.signal import welch

    freqs, power = welch(part.data, part.sfreq, nperseg=int(2 * part.sfreq), axis=-1)
    keep = (freqs >= 2) & (freqs <= 40)
    return freqs[keep], np.log10(power[..., keep])


def _plot_eeg(axes, part, y):
    import mne

    freqs, power = _spectra(part)
    alpha = power[..., (freqs >= 8) & (freqs <= 13)].mean(axis=2)
    difference = 10 * (alpha[y == "task"].mean(axis=0) - alpha[y == "rest"].mean(axis=0))
    info = mne.create_info(list(part.ch_names), part.sfreq, "eeg", verbose="error")
    for channel, place in zip(info["chs"], part.ch_pos, strict=True):
        channel["loc"][:3] = place
    image = _plot_topography(axes, info, difference, _limits(difference))
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.75)
    bar.set_label("8-13 Hz, task minus rest (dB)")
    axes.set_title("EEG: alpha", fontsize=11)


def _limits(values):
    """From the smallest to the largest value, and 0."""
    return min(values.min(), 0.0), max(values.max(), 0.0)


def _plot_topography(axes, info, values, limits):
    import mne

    info = mne.pick_info(info, mne.pick_types(info, eeg=True))
    # Lightness grows steadily along cividis: low and high differ in grey too.
    image, _ = mne.viz.plot_topomap(
        values, info, axes=axes, cmap="cividis", vlim=limits, contours=6, show=False
    )
    return image


def _plot_meg(axes, part, y):
    """Spectra of the coil pairs, both states."""
    is_grad = np.array(part.ch_types) == "grad"
    freqs, power = _spectra(part)
    for state, (colour, line) in _STATES.items():
        mean = power[y == state][:, is_grad].mean(axis=(0, 1))
        # T/m to fT/cm
        axes.plot(freqs, 10 * (mean + 26), line, color=colour, label=state)
    axes.set(xlabel="frequency (Hz)", ylabel="power (dB re 1 (fT/cm)²/Hz)", xlim=(2, 40))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title("MEG: beta, gradiometers", fontsize=11)


def _plot_fmri(axes, part, y):
    """Regions in a glass brain seen from behind."""
    import nilearn.plotting
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from ..io.regions import head_to_mni

    means = part.data.mean(axis=2)
    difference = means[y == "task"].mean(axis=0) - means[y == "rest"].mean(axis=0)
    low, high = _limits(difference)
    nilearn.plotting.plot_markers(
        difference,
        1000 * head_to_mni(part.ch_pos),
        node_size=16,
        node_cmap="cividis",
        node_vmin=low,
        node_vmax=high,
        display_mode="y",
        axes=axes,
        annotate=False,
        colorbar=False,
    )
    bar = axes.figure.colorbar(
        ScalarMappable(Normalize(low, high), "cividis"),
        ax=axes,
        orientation="horizontal",
        shrink=0.75,
    )
    bar.set_label("level, task minus rest (z)")
    axes.set_title("fMRI: regions", fontsize=11)
