"""
Fine-tuning, and LoRA
=====================

A probe reads what the network knows already. When there are enough labels, the network itself can
learn: a little of it, low-rank differences to it (LoRA), or all of it. This page trains it in two
of these ways, keeps what was learned in a small file, and asks whether it was worth it.
"""

# %%
# Simulated EEG of ten people, rest against task, eight samples of 4 s of each. Seven people teach,
# three are asked. That is far less than fine-tuning deserves, and what this page can afford.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, log_loss

from brainof_toolbox import BrainOFClassifier
from brainof_toolbox.datasets import make_paired_signals
from brainof_toolbox.estimators import FineTuning, LoRA

signals, state, subject = make_paired_signals(8, n_subjects=10, modalities=["eeg"])
signals = signals.by_modality["eeg"]
is_test = np.isin(subject, ["08", "09", "10"])

# %%
# The probe
# ---------
# The network is frozen and a logistic regression reads its latents. All other ways start from its
# solution, so it is never wasted.
train = signals[~is_test], state[~is_test]
decoders = {"probe": BrainOFClassifier().fit(*train, groups=subject[~is_test])}

# %%
# LoRA
# ----
# The weights stay as they are, and to each matrix of the attention a product of two thin matrices
# is added :footcite:p:`hu2022lora`; only these and the head learn, 2 % of the weights here.
# ``groups`` keep whole people on one side of the inner split that is watched for early stopping.
# ``refit=False`` leaves out the second training with everybody, to save time.
options = {"max_epochs": 4, "refit": False}
lora = BrainOFClassifier(adaptation=LoRA(**options), random_state=0)
decoders["LoRA"] = lora.fit(*train, groups=subject[~is_test])

# %%
# Losses by epoch, from the probe at 0 on. Where the validation loss was least, the weights were
# taken.
_ = lora.plot_history()

# %%
# The last layers
# ---------------
# Or the last two of the six layers, the final norm and the head. Without ``n_trainable_layers``,
# all of the network is trained.
last = BrainOFClassifier(adaptation=FineTuning(n_trainable_layers=2, **options), random_state=0)
decoders["last 2 layers"] = last.fit(*train, groups=subject[~is_test])

# %%
# Keeping what was learned
# ------------------------
# An adapter is what LoRA learned and the head, without the network. It goes on top of the same
# checkpoint, whose hash it remembers. ``save_pretrained`` writes the whole network instead.
folder = Path(tempfile.mkdtemp()) / "adapter"
lora.save_adapter(folder)
size = sum(path.stat().st_size for path in folder.iterdir())
print(f"{size / 1e6:.1f} MB in {sorted(path.name for path in folder.iterdir())}")

again = BrainOFClassifier(adaptation="lora").load_adapter(folder)
assert np.allclose(again.predict_proba(signals[:4]), lora.predict_proba(signals[:4]), atol=1e-5)

# %%
# Was it worth it?
# ----------------
rows = {}
for name, decoder in decoders.items():
    told = decoder.predict_proba(signals[is_test])
    rows[name] = {
        "balanced accuracy": balanced_accuracy_score(
            state[is_test], decoder.classes_[told.argmax(axis=1)]
        ),
        "log loss": log_loss(state[is_test], told),
    }
table = pd.DataFrame(rows).T
table.round(3)

# %%
_, axes = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
axes.plot(table["log loss"], range(len(table)), "o", color="#0072B2", markersize=9)
axes.axvline(np.log(2), color="black", linestyle="--", linewidth=1)
axes.annotate("a coin", (np.log(2), 2.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks(range(len(table)), table.index)
axes.set(xlabel="log loss on three people left out (less is better)", ylim=(2.5, -0.5))
axes.set_xlim(0.5, 0.75)

# %%
# What do we see?
# ---------------
# That it was not, here. The training loss lies at its floor from the first epoch on (0.2 is the
# least that label smoothing lets it be), while that of the people who were watched stays where the
# probe had left it, or gets a little worse: 56 samples are learned by heart. Early stopping
# noticed, and took the weights of the first epoch. What LoRA and the last layers lose against the
# probe is what they gave up: the people who were set aside to be watched. ``refit=True``, the
# default, gives these back at the cost of a second training.
#
# :doc:`/adaptations` has the same question with forty to some hundred samples of real and
# simulated people, and says why the defaults are what they are: LoRA with changed training samples
# and label smoothing is the only way that was on average no worse than the probe, and by no more
# than chance may have given it. The authors report, of their larger networks, that fine-tuning
# beats the probe by about 3 points and that LoRA comes close (:doc:`/model`). Between the two lies
# your study: start with the probe, and let the comparison decide.
#
# With more data
# --------------
# Nothing changes but the patience that it takes. On a GPU, and scored on whole people left out::
#
#     found = compare(
#         {
#             "probe": BrainOFClassifier(),
#             "LoRA": BrainOFClassifier(adaptation="lora"),
#             "full": BrainOFClassifier(adaptation="full"),
#         },
#         epochs,
#         labels,
#         groups=subject,
#     )
#
# ``epochs`` may be those of :ref:`the second tutorial
# <sphx_glr_auto_tutorials_plot_20_across_subjects.py>`, of 109 people of PhysioNet in place of
# ten.
#
# References
# ----------
# .. footbibliography::
