"""
Inspecting a decoder
====================

A high score shows that two conditions differ, but not how. Maps of importance show which channels,
times and frequency bands a decoder relies on. In this example a subject clenches the teeth during
the task, and the maps show that the decoder relies on muscle activity.
"""

# %%
# A recording with a confound
# ---------------------------
# Simulated EEG, blocks of rest and task. The task slightly lowers alpha and mu power and raises
# beta power. In task blocks, muscle noise of 20 to 55 Hz is added at both temples.
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
jaw = np.zeros((len(places), 2))  # gain of each electrode for either side
for side, name in enumerate(["T7", "T8"]):
    distance = np.linalg.norm(places - places[raw.ch_names.index(name)], axis=1)
    jaw[:, side] = 8e-6 * np.exp(-0.5 * (distance / 0.03) ** 2)
tense = clean.copy()
for epoch in np.flatnonzero(state == "task"):
    noise = rng.standard_normal((2, len(clean.times)))
    noise = mne.filter.filter_data(noise, raw.info["sfreq"], 20, 55, verbose="error")
    tense._data[epoch] += jaw @ (noise / noise.std(axis=1, keepdims=True))

# %%
# Score
# -----
scores = cross_validate(BrainOFClassifier(), tense, state, groups=block)
print(f"balanced accuracy {scores.mean:.2f}, chance {scores.chance}")

# %%
# Maps of importance
# ------------------
# :func:`~brainof_toolbox.inspection.occlusion_importance` hides each electrode, each segment of
# time and each frequency band in turn, and measures the increase of the loss on left-out blocks. A
# hidden electrode is treated as not recorded. ``radius`` hides its neighbours too, because they
# carry redundant information.
is_test = np.isin(block, [3, 4, 10, 11])
which = np.flatnonzero(is_test)[::2]


def explain(epochs):
    """Fit to the other blocks, and map the importance in the test blocks."""
    decoder = BrainOFClassifier().fit(epochs[~is_test], state[~is_test], groups=block[~is_test])
    return occlusion_importance(decoder, epochs[which], state[which], radius=0.05)


before = explain(tense)
_ = before.plot()

# %%
# The loss rises most without the electrodes at the left (T7) and the right temple (T8), where the
# muscle noise was added. Gamma and beta are the most important bands. With ten windows the map is
# noisy; it is negative where hiding reduced the loss by chance.
_ = before.plot_bands().suptitle("Bands, with muscle noise")

# %%
# Without muscle activity
# -----------------------
# The muscle noise has little power below 18 Hz here. The score and the bands after a low-pass
# filter:
calm = tense.copy().filter(None, 18)
scores_calm = cross_validate(BrainOFClassifier(), calm, state, groups=block)
print(f"balanced accuracy {scores_calm.mean:.2f}, chance {scores_calm.chance}")
after = explain(calm)
_ = after.plot_bands().suptitle("Bands, without muscle noise")

# %%
# Results
# -------
# With muscle noise nearly all windows were classified correctly, and the decoder relied on beta
# and gamma at the temples. Without it the score is lower, and the decoder relies on alpha, which
# the task changes in this simulation. The first score alone does not reveal the confound; the maps
# do.
#
# Such maps have limits. They describe *this decoder*, not where brain activity differs: of two
# redundant electrodes neither may be important. Samples with a hidden band differ from the
# training data, and this alone can raise the loss. Ten windows are few: compare the maps of
# several folds before you interpret a maximum.
#
# Related examples
# ----------------
# * :ref:`Gradients <sphx_glr_auto_examples_inside_plot_40_importance_maps.py>` instead of
#   occlusion, for all channels at once, and both as an :class:`mne.Evoked` or an image.
# * :ref:`Contributions of modalities
#   <sphx_glr_auto_examples_modalities_plot_52_modality_contributions.py>`.
# * Inside the network:
#   :ref:`experts <sphx_glr_auto_examples_pretraining_plot_50_expert_usage.py>`,
#   :ref:`attention of the latents <sphx_glr_auto_examples_inside_plot_51_latent_attention.py>`,
#   :ref:`reconstructions <sphx_glr_auto_examples_pretraining_plot_53_reconstruct.py>`.
# * All of these in one :ref:`report <sphx_glr_auto_examples_inside_plot_54_report.py>`, with
#   scores and warnings.
#
# The same on public recordings
# -----------------------------
# With the epochs of :ref:`the first tutorial <sphx_glr_auto_tutorials_plot_10_first_decoding.py>`,
# three runs of fist movements::
#
#     is_test = run == 11
#     decoder = BrainOFClassifier().fit(epochs[~is_test], fist[~is_test])
#     occlusion_importance(decoder, epochs[is_test], fist[is_test], radius=0.05).plot()
#
# Do not interpret maps of a decoder that scores at chance.
