"""
Left or right fist: decoding a rhythm within one subject
========================================================

One person opens and closes the left or the right fist. Movements suppress the mu rhythm over the
opposite hand area. The page maps this effect, decodes the side with whole runs left out, and shows
that 45 trials are too few to rank decoders.
"""

# %%
# Three runs
# ----------
# An excerpt of PhysioNet's motor recordings :footcite:p:`schalk2004bci2000` that comes with this
# book: three runs of two minutes of one person, 27 electrodes, 80 Hz (``doc/data/README.rst``). T1
# marks the left fist, T2 the right one, T0 rest.
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

DATA = Path("..") / "doc" / "data"
epochs, run = [], []
for number in (3, 7, 11):
    raw = mne.io.read_raw_fif(DATA / f"movements_run-{number}_raw.fif.gz", verbose="error")
    raw.load_data().set_eeg_reference("average")
    events, codes = mne.events_from_annotations(raw, event_id={"T0": 0, "T1": 1, "T2": 2})
    names = {"rest": 0, "left": 1, "right": 2}
    part = mne.Epochs(raw, events, names, tmin=0.5, tmax=3.5, baseline=None, preload=True)
    part.set_annotations(None)  # MNE does not concatenate them
    epochs.append(part)
    run += [number] * len(part)
epochs, run = mne.concatenate_epochs(epochs), np.array(run)
print(epochs)

# %%
# The effect in the raw data
# --------------------------
# Power from 8 to 13 Hz during movement, in decibels relative to rest, and the difference between
# the two sides. The hand areas lie below C3 and C4 (marked).
power = {}
for name in names:
    spectrum = epochs[name].compute_psd("welch", fmin=8, fmax=13, n_fft=160, verbose="error")
    power[name] = np.log10(spectrum.get_data().mean(axis=2)).mean(axis=0) * 10  # dB

_, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
maps = {
    "left fist - rest": power["left"] - power["rest"],
    "right fist - rest": power["right"] - power["rest"],
    "right - left": power["right"] - power["left"],
}
for panel, (title, values) in zip(axes, maps.items()):
    mask = np.isin(epochs.ch_names, ["C3", "C4"])
    picture, _ = mne.viz.plot_topomap(
        values, epochs.info, axes=panel, show=False, cmap="RdBu_r", vlim=(-3, 3), mask=mask
    )
    panel.set_title(title)
_ = plt.colorbar(picture, ax=axes, shrink=0.7, label="8 to 13 Hz, dB")

# %%
# Decoding the side
# -----------------
# Only the two movements are classified. With one subject, whole runs are left out, because
# neighbouring trials share drifts and impedances.
from brainof_toolbox import BrainOFClassifier, compare

moved = epochs["left", "right"]
side = np.where(moved.events[:, 2] == 1, "left", "right")
moved_run = run[epochs.events[:, 2] > 0]
decoders = {
    "Brain-OF": BrainOFClassifier(),
    "latents": BrainOFClassifier(features="latents"),
}
found = compare(decoders, moved, side, groups=moved_run, baselines=True)
found

# %%
_ = found.plot().suptitle("Left or right fist, runs left out")

# %%
# As a paper would report it
# --------------------------
# All decoders are reported, not only the best one.
lines = [
    f"{name} {score.mean:.2f} ({min(score.by_group['score']):.2f} to "
    f"{max(score.by_group['score']):.2f})"
    for name, score in found.scores.items()
]
print(
    f"Left and right fist ({len(side)} movements of one subject) were classified with whole runs "
    f"left out. Balanced accuracy (lowest to highest of {len(set(moved_run))} runs; chance 0.50): "
    + "; ".join(lines)
    + ". The scores do not generalise to other subjects."
)

# %%
# Which decoder
# -------------
# The map shows the expected pattern: power falls over C4 with the left fist, over C3 with the
# right fist. Most decoders are above chance in every run. Which of them is best cannot be decided:
# with three runs no paired p-value can be below 0.25, and the order changes with the electrodes.
# Here, with 27 electrodes over the motor cortex, the default decoder is among the best. In the
# benchmark, with all 64 electrodes and the same trials, common spatial patterns have 0.69 and the
# default 0.67 (:doc:`/which_decoder`). Report all decoders, and choose one on other recordings.
#
# References
# ----------
# .. footbibliography::
