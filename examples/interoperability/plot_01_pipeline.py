"""
Embeddings in a scikit-learn pipeline
=====================================

:class:`~brainof_toolbox.BrainOFEmbedder` is a scikit-learn transformer: use it as a step of a
pipeline, and choose its parameters and those of later steps by a grid search. It is not fitted to
the data, so that it cannot leak information about test samples.
"""

# %%
# Simulated EEG of eight subjects, ten samples of rest and task per subject, as
# :class:`~brainof_toolbox.Signals`; :class:`mne.Epochs` can be used as well.
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(10, n_subjects=8, modalities=["eeg"])
signals = signals.by_modality["eeg"]

# %%
# The search chooses the pooling of the latents and the penalty of the logistic regression.
# ``GroupKFold`` keeps the samples of one subject together. ``memory`` caches the embeddings of the
# training subjects, so that three penalties take little longer than one.
pipeline = Pipeline(
    [
        ("embed", BrainOFEmbedder()),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=1000)),
    ],
    memory=tempfile.mkdtemp(),
)
grid = {"embed__pooling": ["mean", "flatten"], "classify__C": [1e-4, 1e-2, 1.0]}
search = GridSearchCV(pipeline, grid, cv=GroupKFold(2), scoring="balanced_accuracy")
search.fit(signals, state, groups=subject)

# %%
# Mean scores over the inner folds:
found = pd.DataFrame(search.cv_results_)
table = found.pivot(
    index="param_classify__C", columns="param_embed__pooling", values="mean_test_score"
)
table.round(2)

# %%
_, axes = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
for name, marker, colour in [("mean", "o", "#0072B2"), ("flatten", "s", "#D55E00")]:
    axes.semilogx(table.index, table[name], marker, linestyle="-", color=colour, label=name)
axes.axhline(0.5, color="black", linestyle="--", linewidth=1, label="chance")
axes.set(xlabel="C of the logistic regression", ylabel="balanced accuracy, subjects left out")
axes.legend(title="pooling")

# %%
# ``search.best_params_`` is the best combination, ``search.best_estimator_`` the pipeline with
# these parameters, refitted to all samples.
search.best_params_
