"""
Representational similarity of EEG and fMRI
===========================================

Do EEG and fMRI find the same samples similar? Embeddings of EEG and fMRI are not equal, but the
similarities between samples can be compared. Representational similarity analysis
:footcite:p:`kriegeskorte2008representational` measures how far they agree.
"""

# %%
# Ten subjects, eight samples per subject, simulated at rest and in a task, with simultaneous EEG
# and fMRI of the same sources (``views="shared"``).
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
# Samples of one subject are similar in both modalities, independently of the state. The mean of
# each subject is subtracted, and embeddings are averaged by subject and state.
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
# Agreement is Spearman's correlation of the upper triangles. After the subject's mean is
# subtracted, rest and task are mirror images of each other in each modality, so that the agreement
# is above zero also by chance. The null distribution comes from swapping rest and task of randomly
# chosen subjects in fMRI.
pairs = np.triu_indices(len(items), 1)
rng = np.random.default_rng(0)
n_people = len(items) // 2


def agreement(is_swapped):
    """Correlate EEG with fMRI (Spearman), states swapped in some subjects."""
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
# In both modalities samples of one state are similar, and the agreement is larger than with
# swapped states. With many stimuli, the same analysis shows whether the same stimuli are similar
# in both modalities.
#
# References
# ----------
# .. footbibliography::
