"""
Beside classical decoders
=========================

No network should be reported without the decoders that it would replace.
:func:`~brainof_toolbox.compare` takes any number of estimators, scores them on the same people
left out, and tests their differences pair by pair.
"""

# %%
# Simulated EEG of eight people, rest against task. Arrays are what all of the pipelines below
# understand; to the network, ``info`` says what the channels are.
import mne
import numpy as np
from mne.decoding import CSP, PSDEstimator, Vectorizer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainof_toolbox import BrainOFClassifier, compare
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(12, n_subjects=8, modalities=["eeg"], duration=2.0)
eeg = signals.by_modality["eeg"]
info = mne.create_info(list(eeg.ch_names), eeg.sfreq, "eeg").set_montage("standard_1020")
data = eeg.data.astype(float)

# %%
# The same network without its training (``checkpoint=None``) is one of the decoders: what it does
# is owed to the design, and only what the trained one does beyond it to the training.
decoders = {
    "Brain-OF": BrainOFClassifier(info=info),
    "Brain-OF, untrained": BrainOFClassifier(checkpoint=None, info=info),
    "log power": make_pipeline(
        PSDEstimator(eeg.sfreq, fmin=2, fmax=40),
        FunctionTransformer(np.log),
        Vectorizer(),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1000),
    ),
    "CSP": make_pipeline(
        mne.decoding.FilterEstimator(info, 8.0, 30.0),
        CSP(4, reg="ledoit_wolf", log=True),
        LinearDiscriminantAnalysis(),
    ),
    "most frequent": DummyClassifier(),
}
found = compare(decoders, data, state, groups=subject)
found.summary.round(3)

# %%
_ = found.plot()

# %%
# Differences between people, with p-values by sign flips. They are not corrected for the number of
# pairs, and eight people can give 2 / 2\ :sup:`8` = 0.008 at best.
found.differences.round(3)

# %%
# The logarithm of the power spectrum tells the states best, for they differ in their rhythms. The
# network does about as well with its training as without it, and no better than classical
# decoders: that is how it is on most of the sets that we have measured (:doc:`/quality`), and it
# is why the untrained network stands on those pages too.
