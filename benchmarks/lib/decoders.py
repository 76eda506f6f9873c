"""The decoders of the pages of scores, by the kind of samples that they take."""

from __future__ import annotations

from functools import partial

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks.lib.convolutional import NETWORKS, make_convolutional
from benchmarks.lib.fmri import BlockDecoder, connectivity
from benchmarks.lib.tangent import make_evoked_tangent
from brainof_toolbox import BrainOFClassifier, baselines
from brainof_toolbox.baselines.decoders import LogisticHead
from brainof_toolbox.estimators import FineTuning, LoRA

PRETRAINED = "brainof-tiny"
PROBE, UNTRAINED = "probe, brainof-tiny", "probe, untrained"
TUNED, SCRATCH = "full, from brainof-tiny", "full, from scratch"
LORA = "lora, from brainof-tiny"
NETWORK = (PROBE, UNTRAINED, TUNED, SCRATCH, LORA)
TRAINED = {TUNED: "full", SCRATCH: "full", LORA: "lora"}
CHECKPOINTS = {name: PRETRAINED for name in NETWORK if name not in (UNTRAINED, SCRATCH)}
TOGETHER = "all classical"
MEANS, CONNECTIVITY = "region means", "connectivity"
VOXELS, NILEARN = "voxel means", "nilearn Decoder"
EVOKED = "tangent space, evoked"
#: Classical decoders by kind of samples; what else is trained from scratch.
CLASSICAL = {
    "sensors": (
        "csp+lda",
        "band power+lr",
        "samples+lda",
        "tangent space",
        "tangent space, filter bank",
        EVOKED,
    ),
    "regions": (MEANS, CONNECTIVITY),
    "voxels": (VOXELS, NILEARN),
    "several": ("fmri: regions", "eeg: band power", "meg: band power", TOGETHER),
}
CONVOLUTIONAL = tuple(NETWORKS)
#: Those of the package that the stored results name otherwise.
NAMES = {
    "csp+lda": "CSP + LDA",
    "band power+lr": "band power",
    "samples+lda": "shrinkage LDA",
    "tangent space, filter bank": "filter-bank tangent space",
    MEANS: "region means",
    VOXELS: "region means",
    "fmri: regions": "fmri: region means",
}


def _adaptation(name, max_epochs):
    """An adaptation with the parameters that the results were computed with."""
    if name == "probe":
        return name
    kind = {"lora": LoRA, "full": FineTuning}[name]
    return kind(
        max_epochs=max_epochs,
        patience=2,
        learning_rate=1e-3,
        augmentation=None,
        label_smoothing=0.0,
        refit=False,
    )


def make_decoder(name, task, seed, max_epochs):
    """Make a decoder by its name.

    Parameters
    ----------
    name : str
        One of the above.
    task : DevelopmentSet
        What it is for.
    seed : int
        Of weights, orders and inner splits.
    max_epochs : int
        Of full fine-tuning.

    Returns
    -------
    decoder : estimator
        Not fitted.
    """
    if name in NETWORK:
        return BrainOFClassifier(
            CHECKPOINTS.get(name),
            adaptation=_adaptation(TRAINED.get(name, "probe"), max_epochs),
            features="latents",
            info=task.info,
            missing_positions=task.missing_positions,
            class_weight="balanced",
            random_state=seed,
        )
    if name == NILEARN:
        return BlockDecoder(task.masker)
    if name == CONNECTIVITY:
        return make_pipeline(FunctionTransformer(partial(_rows, connectivity)), LogisticHead())
    if name not in (EVOKED, *NETWORKS):
        return baselines.for_data(task.X, task.y, info=task.info)[NAMES.get(name, name)]
    sfreq = (task.info or getattr(task.X, "info", None) or {"sfreq": task.X.sfreq})["sfreq"]
    if name == EVOKED:
        return make_evoked_tangent(sfreq)
    return make_convolutional(sfreq, seed)[name]


def _rows(features, X):
    """Apply a function of a list of samples to Signals."""
    return features([X[i] for i in range(len(X))])
