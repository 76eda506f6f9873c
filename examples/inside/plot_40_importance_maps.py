"""
Maps of importance
==================

Maps of importance show the channels, times and frequency bands that a decoder relies on. This
example computes them in two ways for simulated data in which the answer is known: a rhythm of 10
Hz around one electrode, in the second half of the samples of one class.
"""

# %%
# Noise at 32 electrodes, and the rhythm around C4, with a spatial spread of 25 mm. Gradients are
# defined for the network only, hence ``features="latents"``.
import numpy as np

from brainof_toolbox import BrainOFClassifier, from_array
from brainof_toolbox.datasets import make_info
from brainof_toolbox.inspection import gradient_importance, occlusion_importance, patterns

rng = np.random.default_rng(0)
info = make_info("eeg", n_channels=32, sfreq=128.0)
data = 2e-5 * rng.standard_normal((60, 32, 256))  # 60 samples of 2 s, in volts
label = np.arange(60) % 2
places = from_array(data, info).ch_pos
distance = np.linalg.norm(places - places[info["ch_names"].index("C4")], axis=1)
time = np.arange(256) / 128.0
rhythm = 6e-5 * np.sin(2 * np.pi * 10 * time) * (time >= 1)
data[label == 1] += np.exp(-0.5 * (distance / 0.025) ** 2)[:, None] * rhythm
samples = from_array(data, info)

decoder = BrainOFClassifier(features="latents", pooling="flatten").fit(samples[:40], label[:40])
print(f"accuracy on left-out samples: {(decoder.predict(samples[40:]) == label[40:]).mean():.2f}")

# %%
# Occlusion hides one channel, time or band after the other, and measures the increase of the log
# loss on left-out samples, in nats.
occlusion = occlusion_importance(decoder, samples[40:], label[40:])
occlusion.plot()

# %%
_ = occlusion.plot_time().suptitle("Occlusion by time")

# %%
_ = occlusion.plot_bands().suptitle("Occlusion by band")

# %%
# Integrated gradients attribute the change of the loss from a silent recording to the sample to
# channels, times and frequencies. Attributions add up to the whole change; ``residual`` is the
# share that is missing.
gradients = gradient_importance(decoder, samples[40:], label[40:], n_steps=8)
print(f"residual {gradients.residual:.3f}")
gradients.plot()

# %%
# Both maps peak at C4, after one second, and in the alpha band, as simulated. The map of gradients
# is less focal, because channels with noise also differ from a silent recording.
#
# Patterns show how explicit features vary with the decision, with their sign: here the log power
# at virtual electrodes, which is higher at C4 in class 1.
explicit = BrainOFClassifier(features="explicit").fit(samples[:40], label[:40])
patterns(explicit, samples[40:]).plot("covariance")

# %%
# ``to_evoked()`` returns the map as an :class:`mne.Evoked`. For fMRI, ``to_nifti()`` returns an
# image, and ``plot()`` draws a glass brain.
evoked = gradients.to_evoked()
print(evoked)
gradients.to_dataframe().query("kind == 'channel'").nlargest(5, "importance")
