"""
Looking inside a decoder
========================

A good score says that something differs between two conditions, and not what. This page decodes
rest and task of a person who clenches the teeth during the task, asks the decoder what it goes by,
and finds it listening to the jaw.
"""

# %%
# A recording with a trap in it
# -----------------------------
# Simulated EEG, blocks of rest and task. The task lowers alpha and mu rhythms a little and raises
# beta. To its blocks the noise of tense muscles is added, 20 to 55 Hz, at both temples.
import mne
import numpy as np

from brainof_toolbox import BrainOFClassifier, cross_validate
from brainof_toolbox.datasets import make_paired_recordings
from brainof_toolbox.inspection import occlusion_importance

recordings = make_paired_recordings(
    1, modalities=["eeg"], label="state", duration=160, block_duration=10, effect_size=0.5
)
raw = recordings.records[0]["eeg"]
events, event_id = mne.events_from_annotations(
    raw, event_id={"rest": 1, "task": 2}, chunk_duration=2.0
)
clean = mne.Epochs(raw, events, event_id, tmin=0.0, tmax=1.99, baseline=None, preload=True)
block = (events[:, 0] // (10 * raw.info["sfreq"])).astype(int)
state = np.where(events[:, 2] == 1, "rest", "task")

rng = np.random.default_rng(0)
places = np.array([channel["loc"][:3] for channel in raw.info["chs"]])
jaw = np.zeros((len(places), 2))  # how much each electrode sees of either side
for side, name in enumerate(["T7", "T8"]):
    distance = np.linalg.norm(places - places[raw.ch_names.index(name)], axis=1)
    jaw[:, side] = 8e-6 * np.exp(-0.5 * (distance / 0.03) ** 2)
tense = clean.copy()
for epoch in np.flatnonzero(state == "task"):
    noise = rng.standard_normal((2, len(clean.times)))
    noise = mne.filter.filter_data(noise, raw.info["sfreq"], 20, 55, verbose="error")
    tense._data[epoch] += jaw @ (noise / noise.std(axis=1, keepdims=True))

# %%
# A fine score
# ------------
scores = cross_validate(BrainOFClassifier(), tense, state, groups=block)
print(f"balanced accuracy {scores.mean:.2f}, chance {scores.chance}")

# %%
# Where does it listen?
# ---------------------
# :func:`~brainof_toolbox.inspection.occlusion_importance` hides one electrode after the other,
# piece by piece in time, and band by band, and notes how much worse the predictions become, on
# blocks that were left out. A hidden electrode is one that was never recorded, which the network
# can live with. ``radius`` hides its neighbours too, because they tell much the same.
is_test = np.isin(block, [3, 4, 10, 11])
which = np.flatnonzero(is_test)[::2]


def explain(epochs):
    """Fit to the other blocks, and map what the test blocks are told by."""
    decoder = BrainOFClassifier().fit(epochs[~is_test], state[~is_test], groups=block[~is_test])
    return occlusion_importance(decoder, epochs[which], state[which], radius=0.05)


before = explain(tense)
_ = before.plot()

# %%
# Most is lost without the right temple and next without the left front. Ten windows make a rough
# map, negative where hiding happened to help. The bands are clearer: beta and gamma count most,
# which is where muscles are, and the task was meant to change alpha.
_ = before.plot_bands()

# %%
# Without the jaw
# ---------------
# Muscles hardly reach below 18 Hz here. What is left of the score, and what is it made of?
calm = tense.copy().filter(None, 18)
scores_calm = cross_validate(BrainOFClassifier(), calm, state, groups=block)
print(f"balanced accuracy {scores_calm.mean:.2f}, chance {scores_calm.chance}")
after = explain(calm)
_ = after.plot_bands()

# %%
# What do we see?
# ---------------
# Most of the fine score was jaw: without it, two of three windows are told right and not nearly
# all. What remains goes by alpha and by the lower end of beta, which the task does change in this
# brain. Nothing in the first score would have said so; the bands did, and the place of the
# maximum.
#
# Be careful with such maps all the same. They say what *this decoder* would miss, and not where
# the brain differs: what two electrodes tell equally well is missed at neither. A hidden band is
# something that the network has never met, so part of the loss is its surprise. And ten windows
# are few: look at maps of several folds before believing a hill.
#
# More ways in
# ------------
# * :ref:`Gradients <sphx_glr_auto_examples_plot_40_importance_maps.py>` in place of hiding, all
#   channels at once, and both as an :class:`mne.Evoked` or an image.
# * :ref:`What each modality contributes
#   <sphx_glr_auto_examples_plot_52_modality_contributions.py>` where there are several.
# * How the network works, rather than what a decoder goes by: :ref:`experts
#   <sphx_glr_auto_examples_plot_50_expert_usage.py>`, :ref:`latents
#   <sphx_glr_auto_examples_plot_51_latent_attention.py>`, :ref:`what it reconstructs
#   <sphx_glr_auto_examples_plot_53_reconstruct.py>`.
# * All of it on :ref:`one page <sphx_glr_auto_examples_plot_54_report.py>`, with scores and
#   warnings.
#
# The same on public recordings
# -----------------------------
# With the epochs of :ref:`the first tutorial <sphx_glr_auto_tutorials_plot_10_first_decoding.py>`,
# three runs of moving fists::
#
#     is_test = run == 11
#     decoder = BrainOFClassifier().fit(epochs[~is_test], fist[~is_test])
#     occlusion_importance(decoder, epochs[is_test], fist[is_test], radius=0.05).plot()
#
# A decoder that scores at chance, as it does there, has nothing to explain.
