"""Common base of the estimators: the encoder, inputs, saving, scikit-learn's conventions."""

from __future__ import annotations

import html

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.logging import warn
from ..encoder import Encoder
from .precomputed import PrecomputedFeatures

#: Parameters of an estimator that are those of its encoder.
ENCODER_PARAMETERS = (
    *("features", "pooling", "layer", "window", "info", "masker", "memory"),
    *("missing_positions", "batch_size", "device", "precision", "random_state", "verbose"),
)


class BaseBrainOF(BaseEstimator):
    """Encoder and inputs; not for direct use."""

    def _make_encoder(self):
        """Check the parameters of the encoder, and load its network."""
        options = {name: getattr(self, name) for name in ENCODER_PARAMETERS}
        encoder = Encoder(self.checkpoint, **options)
        if self.checkpoint is None and encoder.backbone is not None:
            warn(
                f"{type(self).__name__}(checkpoint=None) has untrained weights: its features come "
                "from a random network. Pass a checkpoint for pretrained ones."
            )
        return encoder

    def _samples(self, X, encoder=None, *, keep_broken=False):
        """Split ``X``; in ``fit``, which gives its encoder, number the columns of a table."""
        is_fit = encoder is not None
        encoder = encoder or self.encoder_
        if isinstance(X, PrecomputedFeatures):
            if is_fit:
                encoder.note_modalities([X])
            return X
        if not isinstance(X, (list, tuple)) and not hasattr(X, "shape"):
            X = np.asarray(X) if hasattr(X, "__array__") else X
        if is_table(X):
            if self.info is None:
                X = np.asarray(X)
            else:
                n_least = 2 if is_fit else 1
                X = validate_data(self, X, reset=is_fit, ensure_min_features=n_least)
        samples = encoder.samples(X, keep_broken=keep_broken)
        if is_fit:
            encoder.note_modalities(samples)
        return samples

    @property
    def encoder_(self):
        """The fitted encoder, run as the parameters ask now."""
        names = ("batch_size", "device", "precision", "info", "verbose")
        return self._encoder.configure(**{name: getattr(self, name) for name in names})

    @property
    def backbone_(self):
        """The network."""
        return self.encoder_.backbone.network

    @property
    def checkpoint_info_(self):
        """Origin of the weights."""
        return self.encoder_.checkpoint_info

    def save_pretrained(self, directory):
        """Save the backbone as a checkpoint that every estimator loads.

        The directory gets the architecture, the preprocessing, the weights and the manifest.

        Parameters
        ----------
        directory : path-like
            The checkpoint; an existing one is replaced in one step.

        Raises
        ------
        OSError
            If the directory cannot be written; what was there before stays.
        """
        check_is_fitted(self)
        self.encoder_.save(directory)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_encoder")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = False
        return tags

    def _html_repr(self):
        text = estimator_html_repr(self)
        if not hasattr(self, "_encoder"):
            return text
        rows = "".join(
            f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in self.checkpoint_info_.items()
        )
        return f"{text}<details><summary>Checkpoint</summary><table>{rows}</table></details>"


def is_table(X):
    """Whether ``X`` is a two-dimensional array of numbers, in any form that scikit-learn takes."""
    if isinstance(X, (list, tuple)):
        first = X[0] if X and isinstance(X[0], (list, tuple)) else None
        return first is not None and (not first or np.isscalar(first[0]))
    is_array = hasattr(X, "__array__") or hasattr(X, "toarray")
    return is_array and len(getattr(X, "shape", ())) == 2
