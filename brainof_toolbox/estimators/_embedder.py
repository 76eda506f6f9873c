"""Recordings -> feature vectors of the frozen network."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.validation import check_number, check_option
from ._docs import fill_estimator_doc
from .base import BaseBrainOF


@fill_estimator_doc
@dataclass(eq=False, repr=False)
class BrainOFEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseBrainOF):
    """Embed fMRI, EEG and MEG with a frozen Brain-OF network :footcite:p:`guo2026brainof`.

    A row of the output depends on its own sample and on nothing else: neither on ``y``, nor on
    other samples, nor on ``batch_size``.

    Parameters
    ----------
    %(checkpoint)s
    %(encoder_parameters)s
    on_error : str
        Items of a list that cannot be read or used: ``"raise"``, or ``"nan"`` for a row of NaN
        and one warning that names all such items. A file that cannot be opened counts as one
        sample. It is an error all the same when no item can be used.
    %(batch_size)s
    %(device)s
    %(precision)s
    n_jobs : int | None
        Workers over which the items of a list are spread, by :class:`joblib.Parallel`, or threads
        that embed the windows of a single item, such as epochs; -1: one per core. ``None``: as
        :func:`joblib.parallel_config` sets, which is one after the other outside of it. See the
        notes.
    random_state : int | RandomState | None
        Seed of untrained weights (``checkpoint=None``); other embeddings do not depend on it.
    %(verbose)s

    Attributes
    ----------
    encoder_ : Encoder
        Network, preprocessing and pooling: the path from samples to rows.
    checkpoint_info_ : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    backbone_ : BrainOF
        The network.

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

    *Epochs in memory.* One item, also one long recording, is read by this process. On a CPU its
    windows are embedded by ``n_jobs`` threads, ``batch_size`` at a time, each with its share of
    torch's threads: with two, both cores are busy, while torch's own threads wait for each other.

    *Settings of torch.* Rows do not depend on the caller's settings: gradients, inference mode,
    autocast, default device and type, precision of products, kernels of attention. All of these
    are restored afterwards.

    *Several modalities.* Latents are shared by the modalities of a sample. With
    ``pooling="compact"`` the read-outs of each modality stand side by side; those of a modality
    that a sample lacks are 0, their mean in pretraining. Explicit features are one block for each
    modality, such as ``"eeg_covariance"``. Rows are NaN where a sample lacks the modality, and
    where a recording of EEG or MEG has no ``"evoked"``. The samples given to ``fit`` fix the
    modalities of read-outs and explicit features.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox import BrainOFEmbedder, datasets
    >>> epochs = datasets.make_epochs(n_epochs=4, random_state=0)
    >>> BrainOFEmbedder(pooling="mean").fit_transform(epochs).shape
    (4, 128)
    """

    checkpoint: object = "brainof-tiny"
    _: KW_ONLY
    features: object = "latents"
    pooling: str = "auto"
    layer: int | None = None
    window: float | dict | None = None
    info: object = None
    masker: object = None
    memory: object = None
    missing_positions: str = "raise"
    on_error: str = "raise"
    batch_size: int = 32
    device: str = "auto"
    precision: str = "float32"
    n_jobs: int | None = None
    random_state: object = None
    verbose: bool | None = None

    _is_frozen = True  # evaluation applies it once to all samples

    def fit(self, X, y=None):
        """Load the network; nothing is estimated from the data.

        Parameters
        ----------
        X : object
            Samples in any accepted form; opened, but not read, to find mistakes early.
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
        check_option("on_error", self.on_error, ("raise", "nan"))
        if self.n_jobs is not None and check_number("n_jobs", self.n_jobs, integer=True) == 0:
            raise ValueError(
                "The parameter 'n_jobs' must be a number of workers, -1 for all cores, or None, "
                "got 0."
            )
        encoder = self._make_encoder()
        self._samples(X, encoder, keep_broken=self.on_error != "raise")
        self._encoder = encoder
        return self

    @fill_estimator_doc
    def transform(self, X):
        """Embed samples.

        Parameters
        ----------
        %(X)s

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
        samples = self._samples(X, keep_broken=self.on_error != "raise")
        return self.encoder_.embed(samples, n_jobs=self.n_jobs, on_error=self.on_error)

    def get_feature_names_out(self, input_features=None):
        """Name the columns: numbered latents, or read-out or block and column.

        Parameters
        ----------
        input_features : object
            Ignored.

        Returns
        -------
        names : ndarray of str, shape (n_features,)
            Unique names, such as ``"brainofembedder0"``, ``"second_order_0"`` of a read-out (of
            several modalities ``"eeg_second_order_0"``) or ``"covariance ..."``. Those of explicit
            features are known after the first ``transform``.
        """
        check_is_fitted(self)
        encoder = self.encoder_
        if encoder.explicit.features:
            return np.asarray(encoder.feature_names(), dtype=object)
        if encoder.pooler.sizes is not None:
            return np.asarray(encoder.pooler.columns(), dtype=object)
        return super().get_feature_names_out(input_features)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always float32, as the network
        return tags

    @property
    def _n_features_out(self):
        return self.encoder_.n_columns
