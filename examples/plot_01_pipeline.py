"""
Embeddings in a scikit-learn pipeline
=====================================

:class:`~brainof_toolbox.BrainOFEmbedder` is a transformer like any other: it stands in a pipeline,
and a grid search chooses what follows it. Nothing is learned from the data by the embedder itself,
so nothing can leak through it.
"""

# %%
# Simulated EEG of eight people, ten samples of rest and task of each, as
# :class:`~brainof_toolbox.Signals`; :class:`mne.Epochs` will do as well.
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
# The search chooses how the latents of the network become one vector, and the strength of the
# logistic regression. ``GroupKFold`` keeps the samples of one person together. ``memory`` keeps
# what the network gave for the training people, so that three strengths cost little more than one.
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
# Which combination is best?
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
axes.set(xlabel="C of the logistic regression", ylabel="balanced accuracy, people left out")
axes.legend(title="pooling")

# %%
# With 40 training samples, 128 averaged numbers tell the state of people left out a little better
# than the 16,384 of all latents side by side. The strength of the regression matters less than
# that. ``search.best_estimator_`` is the pipeline, fitted again to everybody.
search.best_params_
