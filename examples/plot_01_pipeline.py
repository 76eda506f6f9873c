"""
Embeddings in a scikit-learn pipeline
=====================================

:class:`~brainof_toolbox.BrainOFEmbedder` is a transformer like any other: it stands in a pipeline,
and a grid search chooses what follows it. Nothing is learned from the data by the embedder itself,
so nothing can leak through it.
"""

# %%
# Two classes of simulated EEG epochs, of six people. Any :class:`mne.Epochs` will do.
import tempfile

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_study

epochs = make_study(n_subjects=6, n_epochs=12, effect_size=2.0, random_state=0)
hand, subject = epochs.events[:, 2], epochs.metadata["subject"]

# %%
# The search chooses how the latents of the network become one vector, and the strength of the
# logistic regression. ``GroupKFold`` keeps the epochs of one person together. ``memory`` keeps
# what the network gave for the training people, so that three strengths cost little more than one.
pipeline = Pipeline(
    [
        ("embed", BrainOFEmbedder()),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=1000)),
    ],
    memory=tempfile.mkdtemp(),
)
grid = {"embed__pooling": ["mean", "flat"], "classify__C": [1e-4, 1e-2, 1.0]}
search = GridSearchCV(pipeline, grid, cv=GroupKFold(3), scoring="balanced_accuracy")
search.fit(epochs, hand, groups=subject)

# %%
# Which combination is best?
found = pd.DataFrame(search.cv_results_)
table = found.pivot(
    index="param_classify__C", columns="param_embed__pooling", values="mean_test_score"
)
table

# %%
_, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, marker in [("mean", "o"), ("flat", "s")]:
    axes.semilogx(table.index, table[name], marker, linestyle="-", label=f"pooling={name!r}")
axes.axhline(0.5, color="black", linestyle="--", linewidth=1, label="chance")
axes.set(xlabel="C of the logistic regression", ylabel="balanced accuracy, people left out")
axes.legend()
