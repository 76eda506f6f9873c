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
# A record is a sample, and one subject. Scores are the mean absolute error in years, and that of
# predicting the median age of the training subjects ("chance"); correlation and explained variance
# are computed over all subjects.
scores = cross_validate(BrainOFRegressor(pooling="mean"), recordings.records, age)
scores

# %%
predictions = scores.predictions
_, axes = plt.subplots(figsize=(4.5, 4.2), layout="constrained")
axes.plot(predictions["y"], predictions["predicted"], "o", color="#0072B2", alpha=0.7)
limits = [age.min() - 5, age.max() + 5]
axes.plot(limits, limits, "--", color="black", linewidth=1, label="no error")
axes.legend(loc="lower right")
axes.set(xlim=limits, ylim=limits, aspect="equal")
axes.set(xlabel="age (years)", ylabel="predicted age, subject left out (years)")

# %%
# The error is about ten years, where guessing the median makes one of thirteen: something is
# learned from forty people, and not much. Young people are told to be older and old ones younger
# than they are, as with every penalised regression that knows little. A real study of "brain age"
# has to deal with that, and with what else differs between the young and the old in its sample.
# The ages of this page are numbers of a simulation.
