"""Report of an estimator on some data: checkpoint, data, scores, importance, warnings."""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from .._utils.validation import check_number
from ..evaluation import Scores, cross_validate
from ..evaluation.docs import fill_evaluation_doc
from ..evaluation.groups import check_target
from ..io.sample_list import as_samples
from ._explanation import explain

#: Readable on a phone: figures and tables never push the page wider than the screen.
_STYLE = """
img, svg { max-width: 100%; height: auto; }
.accordion-body { overflow-x: auto; }
table.brainof td, table.brainof th { padding: 2px 12px 2px 0; text-align: left; }
table.brainof td { overflow-wrap: anywhere; }
@media (max-width: 700px) {
  #toc { display: none; }
  #content { width: 100% !important; margin-left: 0 !important; padding: 4px !important; }
}
"""


@fill_evaluation_doc
def report(
    estimator,
    X,
    y,
    *,
    groups=None,
    cv=None,
    file="report.html",
    title=None,
    n_mapped=24,
    overwrite=False,
    random_state=0,
):
    """Write one self-contained page about an estimator on some data.

    It holds the checkpoint's card; a description of the data; scores of subjects left out of
    training, with chance and interval; the confusion matrix and the calibration of probabilities
    (for regressors: predictions against targets); the weights of the feature sets; in
    samples left out of the first fold, contributions of these blocks, patterns of explicit
    features, importance maps and expert usage; and the warnings that occurred. What does not apply
    to the decoder is left out.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        A fitted or unfitted estimator: it is cloned and fitted in each fold.
    %(samples)s
    %(groups)s
    %(cv)s
    file : path-like
        File to write, ending in ``.html``.
    title : str | None
        Title of the page.
    n_mapped : int
        Largest number of samples that maps are averaged over; each of their channels is hidden
        once. 0 leaves the maps out.
    overwrite : bool
        Replace an existing file.
    random_state : int
        Seed of the folds.

    Returns
    -------
    path : pathlib.Path
        The page. It needs no network, and no other file.

    Raises
    ------
    FileExistsError
        If the file exists and ``overwrite`` is False.
    TypeError
        If the estimator is no BrainOFClassifier or BrainOFRegressor.
    ValueError
        If the file does not end in ``.html``, or as in :func:`~brainof_toolbox.cross_validate`.
    """
    path = Path(file)
    if path.suffix != ".html":
        raise ValueError(f"The parameter 'file' must end in '.html', got {str(path)!r}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Pass overwrite=True to replace it.")
    if not hasattr(estimator, "precompute"):
        raise TypeError(
            "A report needs a BrainOFClassifier or BrainOFRegressor, got "
            f"{type(estimator).__name__}."
        )
    check_number("n_mapped", n_mapped, low=0, integer=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = cross_validate(
            estimator,
            X,
            y,
            groups=groups,
            cv=cv,
            random_state=random_state,
            return_estimator=True,
        )
        X = as_samples(X)
        found = Evaluation(X, check_target(y, X), scores)
        explanation = list(explain(found, n_mapped))
    page = _write(estimator, found, explanation, _count(caught), title)
    page.save(path, overwrite=overwrite, open_browser=False, verbose="error")
    return path


@dataclass(frozen=True)
class Evaluation:
    """Data and cross-validated scores, with the fitted estimator of each fold."""

    X: object
    y: np.ndarray
    scores: Scores

    @property
    def first(self):
        """Estimator of the first fold."""
        return self.scores.estimators[0]

    @property
    def is_regression(self):
        """True for continuous targets."""
        return self.scores.metric == "mean_absolute_error"

    def left_out(self, n_samples):
        """Return samples left out of the first fold, spread over all of them."""
        return _safe_indexing(self.X, self.rows(n_samples))

    def rows(self, n_samples):
        """Return the indices of the samples that ``left_out`` takes."""
        table = self.scores.predictions
        test = table["sample"][table["fold"] == 0].to_numpy(dtype=int)
        chosen = np.linspace(0, len(test) - 1, min(n_samples, len(test)))
        return test[np.unique(chosen.round().astype(int))]


def _count(caught):
    """Count equal warnings, in the order of their first occurrence."""
    texts = pd.Series([f"{entry.category.__name__}: {entry.message}" for entry in caught])
    return texts.value_counts(sort=False)


def _write(estimator, found, explanation, warned, title):
    import matplotlib.pyplot as plt
    import mne

    name = type(estimator).__name__
    page = mne.Report(title=title or f"{name}: report", verbose="error")
    page.add_custom_css(_STYLE)
    info = {**found.first.checkpoint_info_, "adaptation": estimator.adaptation}
    page.add_html(_rows_of(info), "Checkpoint", tags=("checkpoint",))
    page.add_html(_rows_of(_describe_data(found)), "Data", tags=("data",))
    scores = found.scores
    page.add_html(scores._repr_html_(), "Scores", tags=("scores",))
    drawn = [("Scores by group", scores.plot(), "scores")]
    if found.is_regression:
        drawn.append(("Predictions", scores.plot_predictions(), "predictions"))
    else:
        drawn.append(("Confusion matrix", scores.plot_confusion(), "confusion"))
        drawn.append(("Calibration", scores.plot_calibration(), "calibration"))
    if len(scores.feature_weights):
        drawn.append(("Weights of features", scores.plot_weights(), "weights"))
    drawn += explanation
    for title, figure, tag in drawn:
        # MNE shears figures of 8.7 inches, which are 869.99 pixels.
        figure.set_size_inches(figure.get_size_inches() + 1e-6)
        page.add_figure(figure, title, caption=_CAPTIONS.get(tag), tags=(tag,))
        plt.close(figure)
    items = "".join(
        f"<li>{html.escape(str(text))}{f' ({n} times)' if n > 1 else ''}</li>"
        for text, n in warned.items()
    )
    page.add_html(f"<ul>{items}</ul>" if items else "<p>None.</p>", "Warnings", tags=("warnings",))
    return page


_CAPTIONS = {
    "scores": "Each point is a group left out of training.",
    "confusion": "Samples left out of training; shares of each true class.",
    "calibration": "Samples left out of training: accuracy of predictions by their confidence. "
    "On the line, probabilities are calibrated.",
    "predictions": "Samples left out of training.",
    "weights": "Share of each feature set in the outputs; each point is a fold.",
    "contributions": "Gain in score of each feature set on left-out samples: Shapley value, "
    "alone, and added to all others.",
    "patterns": "Change of features at virtual channels or regions per unit of the decision, on "
    "left-out samples.",
    "maps": "Rise of the loss on left-out samples when a channel, time or band is hidden.",
    "experts": "Shares of the tokens in left-out samples.",
}


def _rows_of(table):
    rows = "".join(
        f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(_plain(value))}</td></tr>"
        for key, value in table.items()
    )
    return f"<table class='brainof'>{rows}</table>"


def _plain(value):
    if isinstance(value, (list, tuple, set)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _describe_data(found):
    """Describe samples, groups, classes, and channels, rate and length by modality."""
    first, scores = found.first, found.scores
    about = {"samples": len(found.y), "groups": scores.n_groups or "none"}
    if found.is_regression:
        low, middle, high = np.quantile(found.y.astype(float), [0, 0.5, 1])
        about["target"] = f"{low:.4g} to {high:.4g}, median {middle:.4g}"
    else:
        counts = pd.Series(found.y).value_counts(sort=False)
        about["classes"] = [f"{label}: {count}" for label, count in counts.items()]
    for batch in first.encoder_.windows(found.left_out(8)):
        for name, windows in batch.windows.items():
            signals = windows.signals
            seconds = signals.shape[2] / signals.sfreq
            rate = f"{signals.sfreq:.4g} Hz"
            text = f"{signals.shape[1]} channels, windows of {seconds:.4g} s at {rate}"
            about.setdefault(f"{name}, input of the network", text)
    about["patterns, maps and experts"] = (
        f"of samples left out of the first of {len(scores.folds)} folds"
    )
    return about
