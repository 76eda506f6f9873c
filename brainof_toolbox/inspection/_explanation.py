"""What the report shows of a fitted decoder on left-out samples."""

from __future__ import annotations

from sklearn.utils import _safe_indexing

from .._utils.logging import warn
from ._experts import expert_usage, plot_expert_usage
from .contributions import block_contributions, plot_contributions
from .maps import MODALITY_TITLES
from .occlusion import occlusion_importance
from .patterns import patterns

_MOST_SAMPLES = 200  # for patterns and contributions, which need few forward passes
_MOST_OUTPUTS = 4  # classes whose patterns are drawn


def explain(found, n_mapped):
    """Yield title, figure and tag of what explains the first fold's estimator."""
    estimator = found.first
    rows = found.rows(_MOST_SAMPLES)
    X, y = _safe_indexing(found.X, rows), found.y[rows]
    if len(estimator.decoder_.feature_weights or {}) > 1:
        table = block_contributions(estimator, X, y)
        yield "Contributions", plot_contributions(table), "contributions"
    if estimator.decoder_.reader.explicit.definitions():
        yield from _draw_patterns(estimator, X)
    if n_mapped:
        few = found.rows(n_mapped)
        X_few = _safe_indexing(found.X, few)
        yield from _draw_maps(occlusion_importance(estimator, X_few, found.y[few], radius=0.03))
    config = getattr(estimator.encoder_.backbone, "config", None)
    if config is not None and config.experts == "moe":
        usage = expert_usage(estimator, found.left_out(n_mapped or 24))
        yield "Expert usage", plot_expert_usage(usage), "experts"


def _draw_patterns(estimator, X):
    try:
        found = patterns(estimator, X)
    except ValueError as error:  # all decisions are equal
        warn(f"The report has no patterns. {error}")
        return
    for block, part in found.parts.items():
        for output in found.outputs[:_MOST_OUTPUTS]:
            title = f"Pattern of {part.feature}, {MODALITY_TITLES[part.modality]}"
            title = title if len(found.outputs) == 1 else f"{title}: {output}"
            yield title, found.plot(block, output), "patterns"


def _draw_maps(importance):
    for modality, part in importance.parts.items():
        label = MODALITY_TITLES[modality]
        if modality != "fmri" or part.channels.max() > 0:
            yield f"Importance of channels, {label}", importance.plot(modality), "maps"
        if len(part.times) > 1:
            yield f"Importance of times, {label}", importance.plot_time(modality), "maps"
        if part.bands:
            yield f"Importance of bands, {label}", importance.plot_bands(modality), "maps"
