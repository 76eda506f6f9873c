"""
Regression of an age
====================

:class:`~brainof_toolbox.BrainOFRegressor` predicts continuous targets. The data are simulated
resting EEG of 20 s per subject, with an alpha rhythm that becomes slower and weaker with age.
"""

# %%
import matplotlib.pyplot as plt

from brainof_toolbox import BrainOFRegressor, cross_validate
from brainof_toolbox.datasets import make_paired_recordings

recordings = make_paired_recordings(40, modalities=["eeg"], duration=20)
age = recordings.participants["age"].to_numpy(dtype=float)

# %%
# Each sample is the recording of one subject. Scores are the mean absolute error in years, and
# that of predicting the median age of the training subjects ("chance"); correlation and explained
# variance are computed over all subjects.
scores = cross_validate(BrainOFRegressor(pooling="mean"), recordings.records, age)
scores

# %%
predictions = scores.predictions
_, axes = plt.subplots(figsize=(4.5, 4.2), layout="constrained")
axes.plot(predictions["y"], predictions["predicted"], "o", color="#0072B2", alpha=0.7)
limits = [age.min() - 5, age.max() + 5]
axes.plot(limits, limits, "--", color="black", linewidth=1, label="no error")
axes.legend(loc="lower right")
axes.set(title="Age of left-out subjects", xlim=limits, ylim=limits, aspect="equal")
axes.set(xlabel="age (years)", ylabel="predicted age, subject left out (years)")

# %%
# The mean absolute error is smaller than that of predicting the median age. Predictions are biased
# towards the mean, as in every penalised regression: the age of young subjects is overestimated,
# that of old subjects underestimated. Studies of "brain age" must correct for this bias, and for
# other differences between young and old subjects of the sample. The ages on this page are
# simulated.
