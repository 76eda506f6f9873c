"""What the report shows of a fitted decoder on left-out samples."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from sklearn.utils import _safe_indexing

from .._utils.logging import warn
from ._experts import expert_usage, plot_expert_usage
from .contributions import block_contributions, plot_contributions
from .importance import Importance
from .occlusion import occlusion_importance
from .patterns import Patterns, patterns

_MOST_SAMPLES = 200  # for patterns and contributions, which need few forward passes
_MOST_OUTPUTS = 4  # classes whose patterns are drawn
_LABELS = {"fmri": "fMRI", "eeg": "EEG", "meg": "MEG"}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps and tables, each None where it does not apply."""

    contributions: pd.DataFrame | None
    patterns: Patterns | None
    importance: Importance | None
    usage: pd.DataFrame | None

    def draw(self):
        """Yield title, figure and tag."""
        if self.contributions is not None:
            yield "Contributions", plot_contributions(self.contributions), "contributions"
        if self.patterns is not None:
            yield from self._draw_patterns()
        if self.importance is not None:
            yield from _draw_maps(self.importance)
        if self.usage is not None:
            yield "Expert usage", plot_expert_usage(self.usage), "experts"

    def _draw_patterns(self):
        outputs = self.patterns.outputs
        for block, part in self.patterns.parts.items():
            for output in outputs[:_MOST_OUTPUTS]:
                title = f"Pattern of {part.feature}, {_LABELS[part.modality]}"
                title = title if len(outputs) == 1 else f"{title}: {output}"
                yield title, self.patterns.plot(block, output), "patterns"


def explain(found, n_mapped):
    """Explain the estimator of the first fold on samples that it leaves out."""
    estimator = found.first
    rows = found.rows(_MOST_SAMPLES)
    X, y = _safe_indexing(found.X, rows), found.y[rows]
    names = estimator.decoder_.feature_weights or {}
    contributions = block_contributions(estimator, X, y) if len(names) > 1 else None
    few = found.rows(n_mapped)
    importance = None
    if n_mapped:
        X_few = _safe_indexing(found.X, few)
        importance = occlusion_importance(estimator, X_few, found.y[few], radius=0.03)
    return Explanation(contributions, _patterns(estimator, X), importance, _usage(found, n_mapped))


def _patterns(estimator, X):
    if not estimator.decoder_.reader.explicit.definitions():
        return None
    try:
        return patterns(estimator, X)
    except ValueError as error:  # all decisions are equal
        warn(f"The report has no patterns. {error}")
        return None


def _usage(found, n_mapped):
    backbone = found.first.encoder_.backbone
    config = getattr(backbone, "config", None)
    if config is None or config.experts != "moe":
        return None
    return expert_usage(found.first, found.left_out(n_mapped or 24))


def _draw_maps(importance):
    for modality, part in importance.parts.items():
        label = _LABELS[modality]
        if modality != "fmri" or part.channels.max() > 0:
            yield f"Importance of channels, {label}", importance.plot(modality), "maps"
        if len(part.times) > 1:
            yield f"Importance of times, {label}", importance.plot_time(modality), "maps"
        if part.bands:
            yield f"Importance of bands, {label}", importance.plot_bands(modality), "maps"
