"""
Epochs straight in cross_val_score
==================================

:class:`mne.Epochs` are a valid ``X`` for scikit-learn's own functions. Nothing has to be turned
into an array, and what ``epochs.info`` says of channels and rates is not lost.
"""

# %%
# Simulated EEG of one person, blocks of rest and task of 10 s in turn, cut into windows of 2 s.
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
# ``GroupKFold`` leaves out whole blocks. Inside, scikit-learn makes a list of one-epoch
# ``Epochs``, which the estimators know.
scores = cross_val_score(
    BrainOFClassifier(), epochs, epochs.events[:, 2], groups=block, cv=GroupKFold(4)
)
scores.round(2)

# %%
# :func:`~brainof_toolbox.cross_validate` does the same and more: it refuses splits that share a
# group, hands groups on to inner splits, runs a frozen network once and not once per fold, and
# gives an interval.
from brainof_toolbox import cross_validate

found = cross_validate(BrainOFClassifier(), epochs, epochs.events[:, 2], groups=block)
_ = found.plot()
found

# %%
# The two numbers differ because the splits do: four folds here, five folds balanced by class
# there. Most blocks are told wholly right.
