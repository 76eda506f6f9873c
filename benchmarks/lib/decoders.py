"""The decoders of the pages of scores, by the kind of samples that they take."""

from __future__ import annotations

from functools import partial

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.lib.convolutional import NETWORKS, make_convolutional
from benchmarks.lib.fmri import BlockDecoder, connectivity
from benchmarks.lib.paired import ALL
from benchmarks.lib.tangent import make_tangent
from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.baselines.arrays import LogisticHead, make_baselines
from brainof_toolbox.baselines.records import (
    DescribeRecords,
    SharedChannels,
    make_record_baselines,
)

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
#: Classical decoders by kind of samples; what else is trained from scratch.
CLASSICAL = {
    "sensors": (
        "csp+lda",
        "band power+lr",
        "samples+lda",
        "tangent space",
        "tangent space, filter bank",
        "tangent space, evoked",
    ),
    "regions": (MEANS, CONNECTIVITY),
    "voxels": (VOXELS, NILEARN),
    "several": ("fmri: regions", "eeg: band power", "meg: band power", TOGETHER),
}
CONVOLUTIONAL = tuple(NETWORKS)


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
            adaptation=TRAINED.get(name, "probe"),
            info=task.info,
            missing_positions=task.missing_positions,
            class_weight="balanced",
            max_epochs=max_epochs,
            patience=2,
            # The results were computed with these.
            learning_rate=1e-3,
            augmentation=None,
            label_smoothing=0.0,
            refit=False,
            random_state=seed,
        )
    if name in CLASSICAL["several"]:
        return make_record_baselines(ALL)[name]
    if name == NILEARN:
        return BlockDecoder(task.masker)
    if name in (MEANS, VOXELS, CONNECTIVITY):
        return _regions(name)
    sfreq = (task.info or getattr(task.X, "info", None) or {"sfreq": task.X.sfreq})["sfreq"]
    if name in NETWORKS:
        return make_convolutional(sfreq, seed)[name]
    return {**make_baselines(sfreq), **make_tangent(sfreq)}[name]


def _regions(name):
    """Make a logistic regression on means of regions or voxels, or on their correlations."""
    if name == CONNECTIVITY:
        features = [FunctionTransformer(partial(_rows, connectivity))]
    else:
        features = [DescribeRecords(("fmri",)), SharedChannels(("fmri",))]
    return make_pipeline(*features, StandardScaler(), LogisticHead())


def _rows(features, X):
    """Apply a function of a list of samples to Signals."""
    return features([X[i] for i in range(len(X))])
