"""
Epochs straight in cross_val_score
==================================

:class:`mne.Epochs` can be passed to scikit-learn's own functions as ``X``, without conversion to
an array. The channels and sampling rate in ``epochs.info`` are kept.
"""

# %%
# Simulated EEG of one subject, alternating blocks of rest and task, cut into windows of 2 s.
import mne
from sklearn.model_selection import GroupKFold, cross_val_score

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(
    1, modalities=["eeg"], label="state", duration=160, block_duration=10, random_state=1
)
raw = recordings.records[0]["eeg"]
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
epochs = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=1.99, baseline=None, preload=True)
block = (events[:, 0] // (10 * raw.info["sfreq"])).astype(int)

# %%
# ``GroupKFold`` leaves out whole blocks. Internally, scikit-learn makes a list of one-epoch
# ``Epochs``, which the estimators accept.
scores = cross_val_score(
    BrainOFClassifier(), epochs, epochs.events[:, 2], groups=block, cv=GroupKFold(4)
)
scores.round(2)

# %%
# :func:`~brainof_toolbox.cross_validate` does more: it refuses splits that share a group, passes
# groups to inner splits, runs a frozen network once instead of once per fold, and returns an
# interval.
from brainof_toolbox import cross_validate

found = cross_validate(BrainOFClassifier(), epochs, epochs.events[:, 2], groups=block)
_ = found.plot().suptitle("Scores of left-out subjects")
found

# %%
# Scores may differ because the splits do: four folds with ``cross_val_score``, five folds balanced
# by class with ``cross_validate``.
