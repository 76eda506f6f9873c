"""EEGNet of braindecode, trained from scratch, as a scikit-learn classifier."""

from __future__ import annotations

import copy
import warnings
from fractions import Fraction

import numpy as np
import torch
from scipy.signal import resample_poly
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from benchmarks.lib.arrays import ToArray
from brainof_toolbox.estimators.heads import inner_splits

#: Sampling rate in Hz for which it was published, learning rate, further options.
NETWORKS = {
    "EEGNet": (128, 1e-3, {"final_layer_with_constraint": True}),
}


class Convolutional(ClassifierMixin, BaseEstimator):
    """A network of braindecode with its own defaults; stops early on left-out groups.

    Epochs are centred, resampled to the rate that the network was published for, and divided by
    each channel's standard deviation over the training samples. The best weights by the loss on
    a fifth of the training groups are kept.

    Parameters
    ----------
    network : str
        A key of ``NETWORKS``.
    sfreq : float
        Sampling rate in Hz of what comes.
    max_epochs, patience, batch_size : int
        Passes at most, passes without improvement, samples in a step.
    random_state : int
        Seed.
    """

    def __init__(self, network, sfreq, max_epochs=80, patience=15, batch_size=32, random_state=0):
        self.network = network
        self.sfreq = sfreq
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, X, y, groups=None):
        """Train the network; samples of one group stay on one side of the inner split."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        X = self._prepare(X)
        self.scale_ = X.std(axis=(0, 2), keepdims=True) + 1e-12
        splits = inner_splits(
            labels, groups, is_classification=True, random_state=self.random_state
        )
        train, valid = splits[0]
        weight = compute_class_weight("balanced", classes=np.unique(labels), y=labels[train])
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(self.random_state)  # forked: the caller's generator is untouched
            self.model_ = self._make(X.shape)
            self._train(
                torch.as_tensor(X / self.scale_, dtype=torch.float32),
                torch.as_tensor(labels),
                train,
                valid,
                torch.as_tensor(weight, dtype=torch.float32),
            )
        return self

    def predict(self, X):
        """Predict the most probable class of each sample."""
        X = torch.as_tensor(self._prepare(X) / self.scale_, dtype=torch.float32)
        return self.classes_[self._logits(X).argmax(dim=1).numpy()]

    def _prepare(self, X):
        ratio = Fraction(NETWORKS[self.network][0]) / Fraction(self.sfreq).limit_denominator(1000)
        X = X - X.mean(axis=-1, keepdims=True)
        if ratio == 1:
            return X
        return resample_poly(X, ratio.numerator, ratio.denominator, axis=-1, padtype="line")

    def _make(self, shape):
        import braindecode.models

        make, options = getattr(braindecode.models, self.network), NETWORKS[self.network][2]
        return make(n_chans=shape[1], n_outputs=len(self.classes_), n_times=shape[2], **options)

    def _logits(self, X):
        self.model_.eval()
        with torch.no_grad():
            return torch.cat([self.model_(part) for part in X.split(64)])

    def _train(self, X, y, train, valid, weight):
        rate = NETWORKS[self.network][1]
        optimizer = torch.optim.AdamW(self.model_.parameters(), lr=rate)
        rng = np.random.default_rng(self.random_state)
        best, best_state, best_epoch = np.inf, None, 0
        for epoch in range(self.max_epochs):
            self.model_.train()
            for batch in np.array_split(
                rng.permutation(train), max(1, len(train) // self.batch_size)
            ):
                loss = cross_entropy(self.model_(X[batch]), y[batch], weight)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            watched = float(cross_entropy(self._logits(X[valid]), y[valid], weight))
            if watched < best:
                best, best_epoch = watched, epoch
                best_state = copy.deepcopy(self.model_.state_dict())
            elif epoch - best_epoch >= self.patience:
                break
        self.n_epochs_ = epoch + 1
        self.model_.load_state_dict(best_state)


def make_convolutional(sfreq, random_state):
    """Make the decoder.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz of what they will get.
    random_state : int
        Seed.

    Returns
    -------
    decoders : dict of str -> Pipeline
        By the name of the network.
    """
    return {
        name: make_pipeline(ToArray(), Convolutional(name, sfreq, random_state=random_state))
        for name in NETWORKS
    }
