"""The curves of a run, from its log."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np

from ..models.config import MODALITY_CODES
from .log import TERM_STEPS, read_log
from .run_dir import LOG, RUN

# Okabe and Ito's colours, which colour-blind readers can distinguish; line styles differ in grey.
_LOOKS = {"eeg": ("#0072B2", "-"), "meg": ("#D55E00", "--"), "fmri": ("#009E73", "-.")}
_NAMES = {"eeg": "EEG", "meg": "MEG", "fmri": "fMRI"}
_GREY = "0.35"


def plot_run(directory, path=None):
    """Draw the log of a pretraining run."""
    directory = Path(os.path.abspath(directory))
    log = directory / LOG
    if not log.is_file():
        raise FileNotFoundError(
            errno.ENOENT, "There is no log of a pretraining run: name its output_dir", str(log)
        )
    lines = read_log(log)
    if not lines:
        raise ValueError(f"{log} holds no line yet: wait for 'log_every' steps.")
    path = directory / "curves.png" if path is None else Path(path)
    figure = _draw(lines, _read_settings(directory / RUN), directory.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _read_settings(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _draw(lines, settings, name):
    """Draw six panels: losses above, optimisation below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever the backend
    seen = {label for line in lines for label in line.get("loss", {})}
    found = [m for m in MODALITY_CODES if {m, TERM_STEPS.format(m)} & seen]
    panels = figure.subplots(2, 3, sharex=True)
    losses = {"loss": "loss", "time": "hidden patches", "frequency": "removed components"}
    for axes, (term, title) in zip(panels[0], losses.items()):
        for modality in found:
            _plot_series(axes, lines, modality, term)
            label = TERM_STEPS.format(modality)
            if label in seen and term == "loss":
                look = _LOOKS[modality][0], ":", TERM_STEPS.format(_NAMES[modality])
                _plot_series(axes, lines, label, term, look)
        axes.set(title=title, ylabel="Smooth L1" if term != "loss" else "weighted sum")
        _use_log_scale(axes)
    panels[0, 0].legend(frameon=False)
    _plot_optimizer(panels[1, 0], lines, settings)
    for modality in found:
        _plot_series(panels[1, 1], lines, modality, "routing_entropy")
    panels[1, 1].set(title="routing entropy", ylabel="nats")
    highest = _plot_load(panels[1, 2], lines, found)
    n_experts = max(
        (len(v) for line in lines for v in line.get("expert_load", {}).values()), default=0
    )
    if n_experts > 1:
        even = f"even choice of {n_experts} experts"
        _mark(panels[1, 1], np.log(n_experts), even, _GREY)
        panels[1, 1].set_ylim(0, 1.12 * np.log(n_experts))
        _mark(panels[1, 2], 1 / n_experts, even, _GREY)
    panels[1, 2].set_ylim(0, min(1.0, max(highest * 1.1, 0.1)))
    for axes in panels[1]:
        axes.set_xlabel("step")
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_describe(lines[-1], settings, name, found), fontsize=11)
    return figure


def _describe(last, settings, name, found):
    """Return the title: how far the run is, and how fast."""
    total = settings.get("total_steps")
    speed = f"{last['tokens_per_second']:,.0f} tokens/s, waiting {100 * last['waiting']:.0f} %"
    epochs = ", ".join(f"{_NAMES[m]} {last['epoch'][m]:.3g}" for m in found if m in last["epoch"])
    steps = f"step {last['step']:,}" + (f" of {total:,}" if total else "")
    return f"{name}: {steps}; {speed}; passes over the data: {epochs}"


def _series(lines, term, modality):
    """Return steps and values where the modality was drawn."""
    rows = [
        (line["step"], line[term][modality]) for line in lines if modality in line.get(term, {})
    ]
    steps, values = zip(*rows) if rows else ((), ())
    return np.array(steps), np.array(values)


def _plot_series(axes, lines, modality, term, look=None):
    colour, style, label = look or (*_LOOKS[modality], _NAMES[modality])
    _plot_smooth(axes, *_series(lines, term, modality), style, colour, label)


def _plot_smooth(axes, steps, values, style, colour, label=None):
    """Plot each line of the log thin, and their running mean thick."""
    if len(values) > 20:
        axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.35)
    axes.plot(steps, smooth_curve(values), style, color=colour, linewidth=1.8, label=label)


def smooth_curve(values):
    """Return the centred mean over a tenth of the run, narrower at both ends."""
    reach = len(values) // 20
    if reach == 0:
        return values
    total = np.cumsum(np.concatenate([np.zeros((1, *values.shape[1:])), values]), axis=0)
    here = np.arange(len(values))
    width = np.minimum(reach, np.minimum(here, len(values) - 1 - here))
    size = (2 * width + 1).reshape(-1, *[1] * (values.ndim - 1))
    return (total[here + width + 1] - total[here - width]) / size


def _use_log_scale(axes):
    """Write 0.3 rather than 3 x 10^-1."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _mark(axes, value, text, colour):
    """Draw a dotted line across, with its name above."""
    axes.axhline(value, color=colour, linestyle=":", linewidth=1)
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(text, (1, value), (0, 3), ha="right", fontsize=8, **where)


def _plot_optimizer(axes, lines, settings):
    """Plot gradient norm on the left, learning rate on the right."""
    steps = np.array([line["step"] for line in lines])
    norm = np.array([line["gradient_norm"] for line in lines])
    _plot_smooth(axes, steps, norm, "-", "#0072B2")
    clip = settings.get("training", {}).get("max_grad_norm")
    if clip is not None and norm.max() > 0.5 * clip:
        _mark(axes, clip, "max_grad_norm", "#0072B2")
    _use_log_scale(axes)
    axes.set_ylabel("gradient norm", color="#0072B2")
    axes.set_title("optimizer")
    other = axes.twinx()
    rate = [line["learning_rate"] for line in lines]
    other.plot(steps, rate, "--", color=_GREY, linewidth=1.5)
    other.set_ylim(0)
    other.set_ylabel("learning rate", color=_GREY)
    other.ticklabel_format(axis="y", scilimits=(0, 0))
    other.spines["top"].set_visible(False)


def _plot_load(axes, lines, found):
    """Plot the share of tokens of the busiest and the idlest expert; return the largest."""
    axes.set(title="busiest and idlest expert", ylabel="share of the tokens")
    highest = 0.0
    for modality in found:
        steps, load = _series(lines, "expert_load", modality)
        if load.ndim < 2 or load.shape[1] == 0:
            continue
        colour, style = _LOOKS[modality]
        for values in (load.max(axis=1), load.min(axis=1)):
            axes.plot(steps, smooth_curve(values), style, color=colour, linewidth=1.5)
        highest = max(highest, load.max())
    return highest
