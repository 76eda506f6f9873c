"""
Arrays of moabb
===============

How to use the estimators in a benchmark with moabb. Its paradigms return arrays, labels and a
table of metadata. Brain-OF additionally needs the channels and the sampling rate, as ``info=``,
and voltages in volt.
"""

# %%
# This page does not need moabb: it uses simulated arrays. In a study, they come from moabb::
#
#     dataset, paradigm = BNCI2014_001(), LeftRightImagery(fmin=1, fmax=45)
#     X, y, metadata = paradigm.get_data(dataset, subjects=[1, 2, 3, 4])
#     info = paradigm.get_data(dataset, subjects=[1], return_epochs=True)[0].info
#
# Widen the band of the paradigm, by default 8 to 32 Hz: the network is trained on broadband
# signals. The channels need positions, ``info.set_montage("standard_1020")``, where the data set
# has none.
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, cross_validate
from brainof_toolbox.datasets import make_study

epochs = make_study(n_subjects=4, n_channels=19, n_epochs=16)
info, metadata = epochs.info, epochs.metadata[["subject"]]
X = 1e6 * epochs.get_data()  # (trials, channels, times), in microvolt as moabb's arrays
y = np.where(epochs.events[:, 2] == epochs.event_id["left"], "left_hand", "right_hand")

# %%
# moabb multiplies its arrays by ``dataset.unit_factor``, 1e6 for most data sets. Values that are
# impossible for volts are refused:
decoder = BrainOFClassifier(info=info)
try:
    decoder.fit(X, y)
except ValueError as error:
    print(error)
X *= 1e-6  # volt

# %%
# scikit-learn's own cross-validation, one subject left out at a time. The second pipeline uses
# covariances, without a network.
pipelines = {
    "Brain-OF": decoder,
    "covariance": make_pipeline(
        BrainOFEmbedder(features="covariance", info=info),
        StandardScaler(),
        LogisticRegression(C=1e-3, max_iter=1000),
    ),
}
for name, pipeline in pipelines.items():
    scores = cross_val_score(
        pipeline, X, y, groups=metadata["subject"], cv=LeaveOneGroupOut(), scoring="roc_auc"
    )
    print(f"{name}: area under the ROC curve {scores.mean():.2f}, subjects {scores.round(2)}")

# %%
# :func:`~brainof_toolbox.cross_validate` takes the same arrays and adds an interval. It runs the
# frozen network once, not once per fold, and passes the subjects to ``fit``, whose inner splits
# then respect them too; scores differ a little for this reason.
scores = cross_validate(decoder, X, y, groups=metadata["subject"], scoring="roc_auc")
_ = scores.plot().suptitle("Left-out subjects")
scores

# %%
# With ``return_epochs=True`` moabb returns :class:`mne.Epochs` in volt whose metadata name the
# subject. Then neither ``info=`` nor ``groups=`` is needed: ``cross_validate(BrainOFClassifier(),
# epochs, y)``.
