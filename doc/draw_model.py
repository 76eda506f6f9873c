"""Draw the picture of the network in doc/model.rst: python doc/draw_model.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

OUT = Path(__file__).resolve().parent / "_static" / "model.svg"
COLOURS = {"EEG": "#0072B2", "MEG": "#D55E00", "fMRI": "#009E73"}
PAPER, OURS = "#E8F1F8", "#FFFFFF"


def box(axes, x, y, width, height, title, text="", *, is_published=True):
    """A box with a title and a line or two of text; dashed where the choice is ours."""
    style = "-" if is_published else (0, (4, 2))
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0.02,rounding_size=0.12",
            facecolor=PAPER if is_published else OURS,
            edgecolor="#20456B",
            linestyle=style,
            linewidth=1.4,
        )
    )
    shift = 0.0 if not text else 0.19 + 0.11 * text.count("\n")
    axes.text(x, y + shift, title, ha="center", va="center", fontsize=13, weight="bold")
    if text:
        axes.text(x, y + shift - 0.2, text, ha="center", va="top", fontsize=11, linespacing=1.35)


def arrow(axes, start, end, label="", *, side=0.12):
    """An arrow with a word beside it."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=15, linewidth=1.5, color="0.25"
        )
    )
    if label:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(x + side, y, label, fontsize=11, va="center", color="0.25")


def recordings(axes, y):
    """Three inputs: a few channels of each, slow ones for fMRI."""
    rng = np.random.default_rng(3)
    time = np.linspace(0, 1, 120)
    texts = {"EEG": "electrodes", "MEG": "coils", "fMRI": "regions"}
    for x, (name, colour) in zip((1.25, 3.5, 5.75), COLOURS.items()):
        width = 3 if name == "fMRI" else 25
        for k in range(4):
            noise = np.convolve(rng.normal(size=180), np.hanning(120 // width + 3), "same")[:120]
            noise = 0.1 * noise / np.abs(noise).max()
            axes.plot(x - 0.75 + 1.5 * time, y + 0.32 - 0.21 * k + noise, color=colour, lw=1.1)
        axes.text(x, y + 0.75, name, ha="center", fontsize=13, weight="bold", color=colour)
        axes.text(x, y - 0.62, f"{texts[name]} x time", ha="center", fontsize=11, color="0.25")


def tokens(axes, y):
    """A row of patches of all three, as they may come."""
    colours = [COLOURS["fMRI"]] * 4 + [COLOURS["EEG"]] * 5 + [COLOURS["MEG"]] * 5
    for k, colour in enumerate(colours):
        x = 0.75 + 0.4 * k
        axes.add_patch(Rectangle((x, y - 0.13), 0.32, 0.26, facecolor=colour, alpha=0.75))


def draw():
    """Everything, from above to below."""
    figure = Figure(figsize=(7, 10.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 7), ylim=(0, 10.4))
    axes.axis("off")
    recordings(axes, 9.35)
    arrow(axes, (3.5, 8.6), (3.5, 8.2), "filter, resample, scale")
    tokens(axes, 7.95)
    axes.text(
        3.5,
        7.55,
        "tokens: patches of 64 time points,\nwith where, when and what",
        ha="center",
        va="top",
        fontsize=11,
        linespacing=1.35,
    )
    arrow(axes, (3.5, 6.95), (3.5, 6.55))
    text = "128 latents query the tokens, one modality\nafter the other; two blocks"
    box(axes, 3.5, 6.0, 5.6, 0.95, "ARNESS encoder", text)
    arrow(axes, (3.5, 5.5), (3.5, 5.1), "128 latents, whatever came in")
    text = "DINT self-attention\nsparse mixture of experts: shared, and routed ones\n"
    text += "LayerScale per channel"
    box(axes, 3.5, 4.35, 5.6, 1.3, "L layers", text)
    arrow(axes, (2.5, 3.68), (1.75, 3.1))
    arrow(axes, (4.5, 3.68), (5.25, 3.1))
    box(axes, 1.75, 2.55, 3.0, 0.95, "one vector", "side by side or averaged", is_published=False)
    box(axes, 5.25, 2.55, 3.0, 0.95, "ARNESS decoder", "patches query latents")
    arrow(axes, (1.75, 2.05), (1.75, 1.65))
    arrow(axes, (5.25, 2.05), (5.25, 1.65))
    text = "regression, or\nfine-tuning, LoRA"
    box(axes, 1.75, 1.05, 3.0, 1.05, "class or number", text)
    text = "in time and\nin frequency"
    box(axes, 5.25, 1.05, 3.0, 1.05, "hidden patches", text)
    axes.text(1.75, 0.28, "using it", ha="center", fontsize=11, style="italic")
    axes.text(5.25, 0.28, "pretraining", ha="center", fontsize=11, style="italic")
    return figure


if __name__ == "__main__":
    # The same bytes whenever it is drawn.
    with mpl.rc_context({"svg.hashsalt": "brainof", "font.family": "DejaVu Sans"}):
        OUT.parent.mkdir(exist_ok=True)
        draw().savefig(OUT, metadata={"Date": None})
