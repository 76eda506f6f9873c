"""Texts that docstrings of estimators and adaptations share."""

from __future__ import annotations

from .._utils.docs import fill_doc

DOCS = {
    "checkpoint": """
checkpoint : path-like | str | ReleasedBrainOF | None
    Name of a bundled checkpoint, a checkpoint directory, the folder of a pretraining run (its
    latest checkpoint), or ``"hf://owner/name@revision"``.
    ``"brainof-tiny"`` comes with the package; its model card describes the training
    (``brainof info``). :func:`~brainof_toolbox.models.load_release` wraps the authors' weights.
    ``None``: untrained weights drawn from ``random_state``, with a warning.
""",
    "adaptation": """
adaptation : str | Probe | LoRA | FineTuning
    ``"probe"`` freezes the network and fits a penalised linear model on its features, its
    strength chosen by cross-validation inside the training data. ``"lora"`` trains the head and
    low-rank updates of some of the matrices :footcite:p:`hu2022lora`. ``"full"`` trains network
    and head together. The names stand for :class:`~brainof_toolbox.estimators.Probe`,
    :class:`~brainof_toolbox.estimators.LoRA` and
    :class:`~brainof_toolbox.estimators.FineTuning` with their defaults; a grid search reaches
    the parameters of an object, such as ``adaptation__rank``.
""",
    "align": """
align : "subject" | None
    ``"subject"``: features are re-centred on the mean of each subject, in training and in
    prediction. In ``fit``, subjects are ``groups``, else those that the samples carry; in
    prediction those that the samples carry, else all samples are taken as those of one subject,
    with a warning. This uses unlabelled samples of the test subject (it is transductive), and
    removes differences between subjects, so that labels must vary within them.
""",
    "features_auto": """
features : str | sequence of str
    Blocks that the decoder uses, as of :class:`~brainof_toolbox.BrainOFEmbedder`. ``"auto"``:
    ``"latents"``, ``"covariance"`` and, where samples are locked to an event, ``"evoked"``. fMRI
    has the columns of its own regions where all samples have one atlas (correlations of at most
    450 regions), and those of fixed places elsewhere. Of 3-D maps (betas, contrasts) the values
    of their regions are used alone (``"evoked"``). ``"explicit"``: the same without the latents,
    so that no network is used.
""",
    "features": """
features : str | sequence of str
    Blocks of columns, side by side. ``"latents"``: pooled latents of the network.
    ``"covariance"`` and ``"evoked"``: see :mod:`brainof_toolbox.features`; they need no network,
    and of several modalities there is one block each. Objects of that module are taken too.
""",
    "pooling": """
pooling : str
    Form of the latents as one vector. ``"compact"``: the predictions of the read-outs that the
    network was pretrained with, side by side (at most 512 numbers of a modality). ``"flatten"``
    keeps the latents side by side, and with them what is local in space and time; ``"mean"``
    averages them; ``"mean+std"`` adds their standard deviation. ``"auto"``: ``"compact"`` where
    all layers are run and the network has read-outs of every modality of the samples given to
    ``fit``, else ``"flatten"``.
""",
    "layer": """
layer : int | None
    Use the latents after this many layers of the backbone: 0 before the first, ``None`` or -1
    after the last, -2 before the last. A grid search can choose it.
""",
    "window": """
window : float | dict of str -> float | None
    Samples longer than this, in seconds, are cut into windows whose outputs are averaged.
    ``None``, also for modalities that a dict does not name: what the checkpoint states (by
    default 320 s for fMRI, 10 s for EEG, 2 s for MEG).
""",
    "info": """
info : mne.Info | None
    Channels and sampling rate of arrays; other inputs bring their own.
""",
    "masker": """
masker : nilearn masker | 3-D or 4-D atlas | str | None
    How images become regions: any nilearn masker, an atlas image or its path, or the name of an
    atlas that :func:`~brainof_toolbox.datasets.fetch_atlas` has fetched. ``None``: an offline
    parcellation of 246 regions.
""",
    "memory": """
memory : str | joblib.Memory | None
    Cache of region series, by the content of image and masker.
""",
    "missing_positions": """
missing_positions : str
    Channels without a position: ``"raise"``, or ``"placeholder"`` for placeholder positions by
    order.
""",
    "batch_size": """
batch_size : int
    Windows per forward pass.
""",
    "device": """
device : str
    ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:0"``, ``"mps"``.
""",
    "precision": """
precision : str
    Matrix products of the network where it embeds or predicts: ``"float32"``, or ``"bf16"``, which
    is faster on GPUs and on processors that multiply bfloat16 (AVX512-BF16, AMX), and slower on
    others. Rows then differ by about 2 % of their standard deviation. Training is in float32.
""",
    "random_state": """
random_state : int | RandomState | None
    Seed of the split that early stopping watches, of the order of samples in training, of heads
    that are small networks and of untrained weights (``checkpoint=None``); ``None`` means 0. A
    linear probe of at most 1000 samples does not depend on it.
""",
    "verbose": """
verbose : bool | None
    ``None`` shows progress of work that takes longer than a few seconds: a bar on a terminal and
    in notebooks, a line every 30 s elsewhere. ``True``: from the start; ``False``: never.
""",
    "fitted": """
encoder_ : Encoder
    Network, preprocessing and pooling: the path from samples to rows.
decoder_ : object
    The fitted head and, if it was trained, the network.
checkpoint_info_ : dict
    Name, sha256, step, number of parameters, corpus and licence of the weights.
backbone_ : BrainOF
    The network, updates included.
head_ : object
    The head (``"probe"``).
feature_weights_ : dict of str -> float
    Share of each block of features in the outputs; shares are at least 0 and sum to 1. After
    LoRA and fine-tuning, ``"network"`` is the share of the trained network.
history_ : pandas.DataFrame
    Losses by epoch (``"lora"``, ``"full"``).
adapter_ : dict of str -> torch.Tensor
    The trained updates, two factors for each matrix (``"lora"``).
""",
    "head": """
head : str
    ``"linear"``, or ``"mlp"`` for a small network of one hidden layer with 32 units.
""",
    "training": """
max_epochs : int
    Largest number of passes over the training data.
patience : int
    Epochs without a better validation loss after which training stops.
learning_rate : float
    Peak rate of the head (AdamW, warm-up and cosine).
layer_decay : float
    Factor on the rate per layer away from the head.
weight_decay : float
    Decay of AdamW.
augmentation : "default" | Augmentation | None
    Random changes of training samples: see
    :class:`~brainof_toolbox.estimators.Augmentation`, whose defaults are ``"default"``.
label_smoothing : float
    Share of the probability that the training loss of a classifier spreads over all classes.
validation_fraction : float
    Share of the training samples, by whole groups where ``groups`` are given, that early
    stopping watches; 0 runs all epochs.
refit : bool
    After the best number of epochs is found, train again for as many, with the watched samples.
warm_start : bool
    Continue from the last ``fit`` rather than from the checkpoint and the probe.
""",
    "X": """
X : object
    :class:`mne.Epochs`, :class:`mne.Evoked`, :class:`mne.io.Raw`, a 4-D image or 3-D map, a list
    of these, of file paths or of records (:func:`~brainof_toolbox.read_bids`, or dicts like
    ``{"eeg": raw, "fmri": image, "subject": "01"}``), braindecode's datasets of windows,
    :class:`~brainof_toolbox.Signals`, :class:`~brainof_toolbox.PairedSignals`, or an array
    (n_samples, n_channels, n_times).
""",
}
#: Parameters of the way from samples to rows, in the order of the signatures.
_WAY = ("pooling", "layer", "window", "info", "masker", "memory", "missing_positions")
for _title, _names in (
    ("encoder_parameters", ("features", *_WAY)),
    ("decoder_parameters", ("features_auto", "align", *_WAY)),
    ("running", ("batch_size", "device", "precision", "random_state", "verbose")),
):
    DOCS[_title] = "".join(DOCS[name].rstrip("\n") for name in _names)

fill_estimator_doc = fill_doc(DOCS)
