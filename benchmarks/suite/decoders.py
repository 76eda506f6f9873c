"""List the decoders as data, and make them."""

from __future__ import annotations

from functools import cache

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from brainof_toolbox import BrainOFClassifier, BrainOFRegressor, Signals, baselines

from ..lib.convolutional import make_convolutional
from ..lib.tangent import make_evoked_tangent

DEFAULT, WITHOUT = "default", "without latents"
#: Parameters of the estimators; ``default`` is what a user types. Networks that are trained take
#: minutes a fold, and run only when they are named.
TRAINED = {
    "LoRA": {"adaptation": "lora"},
    "fine-tuned": {"adaptation": "full"},
    "from scratch": {"adaptation": "full", "checkpoint": None},
}
BRAINOF = {
    DEFAULT: {},
    WITHOUT: {"features": "explicit"},
    "latents alone": {"features": ("latents",)},
    "re-centred": {"align": "subject"},
    "untrained": {"checkpoint": None},
    **TRAINED,
}
#: Names of the classical decoders by kind of samples; those of the package, but for three.
EVOKED_TANGENT, MEANS_SVM, TRIALS = (
    "evoked tangent space",
    "region means, svm",
    "correlations in trials",
)
CLASSICAL = {
    "sensors": (
        "tangent space",
        "filter-bank tangent space",
        EVOKED_TANGENT,
        "band power",
        "shrinkage LDA",
        "CSP + LDA",
    ),
    "source": ("band power", "shrinkage LDA"),
    "runs": ("correlations",),
    "blocks": ("region means", MEANS_SVM, TRIALS),
    "voxels": ("region means", MEANS_SVM),
}
CLASSICAL["mixed"] = CLASSICAL["sensors"]
#: Trained from scratch, on small sets.
NETWORKS = ("EEGNet",)


class AsRuns(TransformerMixin, BaseEstimator):
    """Take trials as series, so that correlations describe them instead of means."""

    def fit(self, X, y=None):
        """Return itself."""
        return self

    def transform(self, X):
        """Return samples that are not relative to a baseline."""
        return [X[i].replace(has_baseline=False) for i in range(len(X))]


class Unsupported(Exception):
    """Signal a decoder that this version of the package, or this environment, lacks."""


def names_for(entry):
    """Return the names of the decoders of a set."""
    networks = NETWORKS if entry.is_small else ()
    ours = [name for name in BRAINOF if entry.is_small or name not in TRAINED]
    return (*ours, *CLASSICAL[entry.kind], *networks)


def is_classical(name):
    """Return whether a decoder is one that the estimators are compared with."""
    return name not in BRAINOF


def make_decoder(name, entry, task, seed):
    """Make a decoder that is not fitted.

    Parameters
    ----------
    name : str
        One of ``names_for(entry)``.
    entry : Set
        The set.
    task : Task
        Its samples.
    seed : int
        Of weights, orders and inner splits.

    Returns
    -------
    decoder : estimator
        A classifier or regressor.

    Raises
    ------
    Unsupported
        If a parameter of the estimator or a package is missing.
    """
    if name not in BRAINOF:
        return _classical(name, entry, task, seed)
    estimator = (BrainOFRegressor if entry.is_regression else BrainOFClassifier)()
    missing = sorted(set(BRAINOF[name]) - set(estimator.get_params()))
    if missing:
        raise Unsupported(f"{type(estimator).__name__} has no parameter {', '.join(missing)}")
    given = {} if seed == 0 else {"random_state": seed}
    if task.info is not None:
        given |= {"info": task.info, "missing_positions": task.missing_positions}
    return estimator.set_params(**given, **BRAINOF[name])


def _classical(name, entry, task, seed):
    """Make a classical decoder; they are made here only."""
    first = task.X[0] if isinstance(task.X, list) else task.X
    try:
        if name in (*NETWORKS, EVOKED_TANGENT):
            sfreq = (
                first.sfreq if isinstance(first, Signals) else (task.info or first.info)["sfreq"]
            )
            if name in NETWORKS:
                import braindecode  # noqa: F401

                return make_convolutional(sfreq, seed)[name]
            return make_evoked_tangent(sfreq)
    except ImportError as error:
        raise Unsupported(str(error)) from error
    options = {"info": task.info, "is_regression": entry.is_regression}
    if name == TRIALS:
        found = baselines.for_data(first.replace(has_baseline=False), **options)["correlations"]
        return make_pipeline(AsRuns(), *(step for _, step in found.steps))
    found = baselines.for_data(task.X, task.y, **options)
    found = {title.removesuffix(" (log-Euclidean)"): made for title, made in found.items()}
    if name == MEANS_SVM:
        steps = [step for _, step in found["region means"].steps[:-1]]
        return make_pipeline(*steps, LinearSVC(C=0.01, class_weight="balanced"))
    if name not in found:
        raise Unsupported(f"baselines.for_data has no {name} for these samples")
    return found[name]


@cache
def weights_of(name):
    """Return the first digits of the sha256 of the weights that a decoder uses."""
    from brainof_toolbox.models import load_checkpoint

    if name not in BRAINOF:
        return ""
    checkpoint = BRAINOF[name].get("checkpoint", BrainOFClassifier().checkpoint)
    return "" if checkpoint is None else load_checkpoint(checkpoint).sha256[:12]
