"""
Representational similarity of EEG and fMRI
===========================================

Embeddings have the same length whatever was recorded, but that does not make those of EEG and fMRI
equal. What can be compared across modalities is their geometry: which samples are alike and which
are not. Representational similarity analysis :footcite:p:`kriegeskorte2008representational` asks
how far two such geometries agree.
"""

# %%
# Ten people, eight samples of each, simulated at rest and in a task, with EEG and fMRI at the same
# time. Both see the same states here (``views="shared"``).
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import rankdata

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_paired_signals

signals, state, subject = make_paired_signals(
    8, n_subjects=10, modalities=["fmri", "eeg"], views="shared"
)
embedder = BrainOFEmbedder(pooling="mean")
rows = {name: embedder.fit_transform(signals.by_modality[name]) for name in ("eeg", "fmri")}

# %%
# Samples of one person resemble each other for reasons of their own, in both modalities. Each
# person's mean is taken out, and what remains is averaged by person and state.
order = np.lexsort((subject, state))
items = [(s, who) for s in ("rest", "task") for who in np.unique(subject)]
dissimilarity = {}
for name, values in rows.items():
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    for who in np.unique(subject):
        values[subject == who] -= values[subject == who].mean(axis=0)
    means = np.stack([values[(state == s) & (subject == who)].mean(axis=0) for s, who in items])
    dissimilarity[name] = 1 - np.corrcoef(means)

# %%
_, panels = plt.subplots(1, 2, figsize=(8, 3.7), layout="constrained")
for axes, (name, matrix) in zip(panels, dissimilarity.items()):
    picture = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=2)
    axes.set_title({"eeg": "EEG", "fmri": "fMRI"}[name])
    axes.set_xticks([4.5, 14.5], ["rest", "task"])
    axes.set_yticks([4.5, 14.5], ["rest", "task"])
    axes.tick_params(length=0)
_ = plt.colorbar(picture, ax=panels, label="1 - correlation of embeddings")

# %%
# How far do they agree? Spearman's correlation of the upper triangles. Two states without their
# mean are mirror images, in each modality by construction, so it is not zero that this has to be
# compared with, but with what comes out when some people's rest and task change places in fMRI.
pairs = np.triu_indices(len(items), 1)
rng = np.random.default_rng(0)
n_people = len(items) // 2


def agreement(is_swapped):
    """Spearman's correlation of EEG with fMRI, states swapped in some people."""
    task = np.where(is_swapped, 0, n_people) + np.arange(n_people)
    rest = np.where(is_swapped, n_people, 0) + np.arange(n_people)
    order = np.concatenate([rest, task])
    fmri = dissimilarity["fmri"][np.ix_(order, order)]
    return np.corrcoef(rankdata(dissimilarity["eeg"][pairs]), rankdata(fmri[pairs]))[0, 1]


found = agreement(np.zeros(n_people, dtype=bool))
swapped = np.array([agreement(rng.random(n_people) < 0.5) for _ in range(1000)])
p = (1 + np.sum(swapped >= found)) / 1001
print(f"agreement {found:.2f}; swapped {swapped.mean():.2f} on average, p = {p:.3f}")

# %%
# Both geometries are that of the two states, EEG's more clearly than that of fMRI, and they agree
# far better than with states swapped. With two states there is little more to see; with many
# stimuli, the same lines ask whether two modalities find the same ones alike.
#
# References
# ----------
# .. footbibliography::
