"""Recordings -> feature vectors of the frozen network."""

from __future__ import annotations

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .base import BaseBrainOF


class BrainOFEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseBrainOF):
    """Embed fMRI, EEG and MEG with a frozen Brain-OF network :footcite:p:`guo2026brainof`.

    A row of the output depends on its own sample and on nothing else: neither on ``y``, nor on
    other samples, nor on ``batch_size``.

    Parameters
    ----------
    checkpoint : path-like | str | None
        Name of a bundled checkpoint, a checkpoint directory, or ``"hf://owner/name@revision"``.
        ``"brainof-tiny"`` comes with the package, trained as its model card says
        (``brainof info``). ``None``: untrained weights drawn from ``random_state``, with a
        warning.
    pooling : str
        How the network's latents become one vector: ``"flat"`` keeps them side by side (and with
        them what is local in space and time), ``"mean"`` averages them, ``"mean+std"`` adds their
        standard deviation.
    layer : int | None
        Read the latents after so many layers of the backbone: 0 before the first, ``None`` after
        the last.
    info : mne.Info | None
        Channels and sampling rate of arrays; other inputs bring their own.
    masker : nilearn masker | 3-D or 4-D atlas | str | None
        How images become regions: any nilearn masker, an atlas image or its path, or the name of
        an atlas that :func:`~brainof_toolbox.datasets.fetch_atlas` has fetched. ``None``: an
        offline parcellation of 246 regions.
    window : float | dict of str -> float | None
        Samples longer than this, in seconds, are cut into windows whose embeddings are averaged.
        ``None``: what the checkpoint states (320 s for fMRI, 10 s for EEG, 2 s for MEG), also for
        modalities that a dict does not name.
    missing_positions : str
        What happens to channels without a position: ``"raise"``, or ``"placeholder"`` for
        placeholder positions by order.
    on_error : str
        What happens when an item of a list cannot be read or used: ``"raise"``, or ``"nan"`` for
        a row of NaN and one warning that names all such items. A file that cannot even be opened
        counts as one sample. It is an error all the same when no item can be used.
    batch_size : int
        Windows that go through the network at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:0"``, ``"mps"``.
    memory : str | joblib.Memory | None
        Caches what maskers give, by the content of image and masker.
    n_jobs : int | None
        Workers over which the items of a list are spread, by :class:`joblib.Parallel`; -1: as
        many as there are cores. ``None``: what :func:`joblib.parallel_config` says, which is one
        after the other outside of it. See the notes.
    random_state : int | RandomState | None
        Seed of untrained weights (``checkpoint=None``); other embeddings do not depend on it.
    verbose : bool | None
        ``True`` shows a progress bar on a terminal.

    Attributes
    ----------
    checkpoint_info_ : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    backbone_ : BrainOF
        The network.
    preprocessing_ : Preprocessing
        What the checkpoint expects of its input.

    Notes
    -----
    *Many recordings.* Within ``with joblib.parallel_config(backend="loky", n_jobs=8):`` (processes
    of this machine), ``backend="dask"`` or ``"ray"`` (a cluster that sees the same files),
    each recording, image or record of a list is a task. Paths, records and recordings that are
    not preloaded are sent as such and read by the worker; epochs and other samples in memory go
    32 or ``batch_size`` together. The weights travel once, and each worker process keeps one copy
    of the network beside what one recording takes. Forked processes (``"multiprocessing"``) use
    one thread each. Rows are those of one process, but for rounding (1e-5), because batches may
    be composed and threads counted differently.

    *Settings of torch.* Rows do not depend on what the caller has set: gradients, inference mode,
    autocast, default device and type, precision of products, kernels of attention. All of these
    are afterwards as they were.

    References
    ----------
    .. footbibliography::
    """

    _is_frozen = True  # evaluation applies it once to all samples

    def __init__(
        self,
        checkpoint="brainof-tiny",
        *,
        pooling="flat",
        layer=None,
        info=None,
        masker=None,
        window=None,
        missing_positions="raise",
        on_error="raise",
        batch_size=32,
        device="auto",
        memory=None,
        n_jobs=None,
        random_state=None,
        verbose=None,
    ):
        self.checkpoint = checkpoint
        self.pooling = pooling
        self.layer = layer
        self.info = info
        self.masker = masker
        self.window = window
        self.missing_positions = missing_positions
        self.on_error = on_error
        self.batch_size = batch_size
        self.device = device
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Load the network; nothing is learned from the data.

        Parameters
        ----------
        X : object
            Samples in any accepted form; only looked at, to find mistakes early.
        y : object
            Ignored.

        Returns
        -------
        self : BrainOFEmbedder
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, the checkpoint or ``X`` is not usable.
        """
        self._check_parameters()
        self._as_sources(X, reset=True)
        self._load_backbone()
        return self

    def transform(self, X):
        """Embed samples.

        Parameters
        ----------
        X : object
            :class:`mne.Epochs`, :class:`mne.io.Raw`, a 4-D image, a list of these, of file paths
            or of records (:func:`~brainof_toolbox.read_bids`, or dicts like ``{"eeg": raw,
            "fmri": image, "subject": "01"}``), :class:`~brainof_toolbox.Signals`,
            :class:`~brainof_toolbox.PairedSignals`, or an array (n_samples, n_channels, n_times).

        Returns
        -------
        features : ndarray, shape (n_samples, n_features), float32
            One row per sample.

        Raises
        ------
        ValueError, TypeError, FileNotFoundError
            If samples cannot be read or used; the message names the channel, file or item.

        Warns
        -----
        RuntimeWarning
            With ``on_error="nan"``, once, naming the items whose rows are NaN.
        """
        check_is_fitted(self)
        return self._embed(self._as_sources(X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always float32, as the network
        return tags

    @property
    def _n_features_out(self):
        return self.n_latent_features_
