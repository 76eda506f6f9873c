"""
Beside classical decoders
=========================

No network should be reported without the decoders that it would replace.
:func:`~brainof_toolbox.compare` takes any number of estimators, scores them on the same people
left out, and tests their differences pair by pair.
"""

# %%
# Simulated EEG of eight people, rest against task.
from sklearn.dummy import DummyClassifier

from brainof_toolbox import BrainOFClassifier, baselines, compare
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(12, n_subjects=8, modalities=["eeg"], duration=2.0)
eeg = signals.by_modality["eeg"]

# %%
# :func:`brainof_toolbox.baselines.for_data` makes the decoders that apply to the data. Each is a
# scikit-learn pipeline, which can be cross-validated, changed or searched like any other.
list(baselines.for_data(eeg, state))

# %%
# ``baselines=True`` adds all of them on the same folds. The same network without its training
# (``checkpoint=None``) is one of the decoders: its score is owed to the design, and only the
# difference from it to the training.
decoders = {
    "Brain-OF": BrainOFClassifier(),
    "Brain-OF, untrained": BrainOFClassifier(checkpoint=None),
    "most frequent": DummyClassifier(),
}
found = compare(decoders, eeg, state, groups=subject, baselines=True)
found

# %%
_ = found.plot()

# %%
# Differences between people have p-values by sign flips. They are not corrected for the number
# of pairs, and eight people can give 2 / 2\ :sup:`8` = 0.008 at best. Those from the first
# estimator are printed above; the table has all pairs.
found.differences.round(3)

# %%
# The states differ in their rhythms, so decoders of power and covariance do well and the averaged
# samples of the shrinkage LDA do not. The network does about as well with its training as without
# it, and no better than the classical decoders. That holds for most of the sets that we have
# measured (:doc:`/quality`), and it is why the untrained network stands on those pages too.
