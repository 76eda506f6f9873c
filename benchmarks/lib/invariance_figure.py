"""The figure of the page on invariance."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Okabe and Ito's colours, as in the demo; markers and fills differ in grey.
NETWORKS = {"brainof-tiny": ("#0072B2", "o"), "untrained": ("#D55E00", "s")}
SOURCES = {"real": ("-", True), "simulated": ("--", False)}
LAYOUT = (
    ("sampling rate (Hz)", "repetition time (s)", "channels", "channels lost (%)"),
    ("montage", "length of EEG (s)", "length of fMRI (s)"),
)


def plot(table, chance, path):
    """Draw cosines and accuracies against everything that varies.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``axis``, ``source``, ``network``, ``value``, ``reference``, ``centred`` and
        ``accuracy``.
    chance : float
        Balanced accuracy of guessing.
    path : path-like
        Where to save.
    """
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, 4)
    for block, names in enumerate(LAYOUT):
        for column in range(4):
            pair = axes[2 * block : 2 * block + 2, column]
            if column >= len(names):
                for one in pair:
                    one.set_axis_off()
                continue
            rows = table[table["axis"] == names[column]]
            if len(rows):
                _plot_axis(pair, rows, names[column], chance)
            if column == 0:
                pair[0].set_ylabel("cosine, centred")
                pair[1].set_ylabel("balanced accuracy")
    _add_legend(axes[2, 3])
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _plot_axis(pair, rows, name, chance):
    """Plot cosines above accuracies, at evenly spaced values; the reference is marked."""
    values = list(dict.fromkeys(rows["value"]))
    reference = rows["reference"].iloc[0]
    for (network, source), part in rows.groupby(["network", "source"], sort=False):
        (colour, marker), (line, is_full) = NETWORKS[network], SOURCES[source]
        look = {
            "color": colour,
            "linestyle": "none" if name == "montage" else line,
            "marker": marker,
            "markerfacecolor": colour if is_full else "white",
            "markersize": 5,
        }
        # Real rates have 256 where simulated ones have 250: the same place.
        for axis, column in zip(pair, ("centred", "accuracy"), strict=True):
            axis.plot(range(len(part)), part[column], **look)
    for axis in pair:
        axis.axvline(values.index(reference), color="0.85", linewidth=5, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xticks(range(len(part)), part["value"].astype(str), fontsize=8)
        if name == "montage":
            axis.tick_params(axis="x", rotation=30)
    pair[0].set_ylim(min(-0.05, rows["centred"].min() - 0.05), 1.05)
    pair[1].set_ylim(0.35, 1.02)
    pair[1].axhline(chance, color="black", linestyle=":", linewidth=1, zorder=0)
    pair[1].set_xlabel(name)


def _add_legend(axis):
    lines = [
        Line2D([], [], color=colour, marker=marker, label=name)
        for name, (colour, marker) in NETWORKS.items()
    ]
    lines += [
        Line2D(
            [],
            [],
            color="0.3",
            linestyle=line,
            marker="o",
            markerfacecolor="0.3" if is_full else "white",
            label=f"{name} recordings",
        )
        for name, (line, is_full) in SOURCES.items()
    ]
    lines.append(Line2D([], [], color="0.85", linewidth=5, label="reference"))
    lines.append(Line2D([], [], color="black", linestyle=":", label="chance"))
    axis.legend(handles=lines, loc="upper left", frameon=False)
