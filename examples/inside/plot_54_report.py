"""
Report of a decoder
===================

:func:`~brainof_toolbox.inspection.report` writes one HTML file about an estimator on some data:
the checkpoint, the data, scores of left-out subjects, confusion matrix, calibration, maps of
importance, experts, and the warnings that occurred.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from brainof_toolbox import BrainOFClassifier, cross_validate
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.inspection import report

samples, label, _ = make_paired_signals(
    12, n_subjects=5, modalities=["eeg"], effect_size=1.5, random_state=1
)
folder = Path(tempfile.mkdtemp())
page = report(BrainOFClassifier(), samples, label, file=folder / "report.html", n_mapped=6)
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB, opens offline")

# %%
# The scores of the report are those of :func:`~brainof_toolbox.cross_validate`: every sample is
# predicted by a decoder that was trained without its subject.
scores = cross_validate(BrainOFClassifier(), samples, label)
print(scores)
scores.plot().suptitle("Scores of left-out subjects")
plt.show()

# %%
# Maps and expert usage come from samples left out of the first fold. With more samples
# (``n_mapped``) they take longer and are less noisy.
