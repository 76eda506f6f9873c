"""
Comparison with classical decoders
==================================

The score of a network means little without classical decoders beside it.
:func:`~brainof_toolbox.compare` scores any number of estimators on the same left-out subjects, and
tests their differences pair by pair.
"""

# %%
# Simulated EEG of eight subjects, rest against task.
from sklearn.dummy import DummyClassifier

from brainof_toolbox import BrainOFClassifier, baselines, compare
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(12, n_subjects=8, modalities=["eeg"], duration=2.0)
eeg = signals.by_modality["eeg"]

# %%
# :func:`brainof_toolbox.baselines.for_data` returns the decoders that apply to the data. Each is a
# scikit-learn pipeline.
list(baselines.for_data(eeg, state))

# %%
# ``baselines=True`` adds all of them on the same folds. Further decoders show what the network
# contributes: ``features="explicit"`` is the default decoder without a network, and
# ``features="latents"`` the network alone, with its pretrained and with untrained weights
# (``checkpoint=None``).
decoders = {
    "Brain-OF": BrainOFClassifier(),
    "no network": BrainOFClassifier(features="explicit"),
    "latents": BrainOFClassifier(features="latents"),
    "latents, untrained": BrainOFClassifier(None, features="latents"),
    "most frequent": DummyClassifier(),
}
found = compare(decoders, eeg, state, groups=subject, baselines=True)
found

# %%
_ = found.plot().suptitle("Brain-OF and classical decoders")

# %%
# Paired differences have p-values by sign flips over subjects. They are not corrected for the
# number of pairs; with eight subjects the smallest possible one is 2 / 2\ :sup:`8` = 0.008.
# Differences to the first estimator are printed above; the table has all pairs.
found.differences.round(3)

# %%
# The states differ in their rhythms, so decoders of power and covariance score well, and shrinkage
# LDA, which uses the evoked time course, does not. The default decoder is better than its latents
# alone, and does not differ from the same decoder without a network or from the best classical
# ones: in these data the latents add nothing significant to the covariances. :doc:`/weights`
# compares pretrained and untrained latents on real recordings.
