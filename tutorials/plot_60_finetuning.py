"""
Fine-tuning, and LoRA
=====================

By default the network is frozen, and only linear models on its output are fitted (the *probe*).
With enough labels the network itself can be trained: low-rank updates (LoRA), its last layers, or
all of it. This page compares LoRA and the last layers with the probe, and saves the result.
"""

# %%
# Simulated EEG of ten subjects, rest against task, eight samples of 4 s per subject: seven
# training subjects, three test subjects. Fine-tuning needs much more data; this example is small
# so that it runs fast.
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
# The network is frozen; penalised logistic regressions use its latents and the explicit features.
# The other methods start from a classifier (head) that is fitted to the frozen latents.
train = signals[~is_test], state[~is_test]
decoders = {"probe": BrainOFClassifier().fit(*train, groups=subject[~is_test])}

# %%
# LoRA
# ----
# The weights are frozen, and a product of two low-rank matrices is added to each matrix of the
# attention :footcite:p:`hu2022lora`. Only these products and the head are trained, 2 % of the
# weights here. Training stops early by the loss of validation subjects, a part of the training
# subjects; ``groups`` names the subjects. The trained network is then combined with the explicit
# features. ``refit=False`` skips the second training with all training samples, to save time.
options = {"max_epochs": 4, "refit": False}
lora = BrainOFClassifier(adaptation=LoRA(**options), random_state=0)
decoders["LoRA"] = lora.fit(*train, groups=subject[~is_test])

# %%
# Losses by epoch; epoch 0 is the frozen network. The weights with the lowest validation loss are
# kept.
# sphinx_gallery_thumbnail_number = 2
_ = lora.plot_history()

# %%
# The last layers
# ---------------
# The last two of the six layers, the final norm and the head are trained. Without
# ``n_trainable_layers``, all layers are.
last = BrainOFClassifier(adaptation=FineTuning(n_trainable_layers=2, **options), random_state=0)
decoders["last 2 layers"] = last.fit(*train, groups=subject[~is_test])

# %%
# Saving the adapter
# ------------------
# An adapter holds the low-rank updates and the heads, without the network. It is loaded into an
# estimator with the same checkpoint, which is identified by its hash. ``save_pretrained`` saves
# the whole decoder (:doc:`/deploying`).
folder = Path(tempfile.mkdtemp()) / "adapter"
lora.save_adapter(folder)
size = sum(path.stat().st_size for path in folder.iterdir())
print(f"{size / 1e6:.1f} MB in {sorted(path.name for path in folder.iterdir())}")

again = BrainOFClassifier(adaptation="lora").load_adapter(folder)
assert np.allclose(again.predict_proba(signals[:4]), lora.predict_proba(signals[:4]), atol=1e-5)

# %%
# Comparison
# ----------
rows = {}
for name, decoder in decoders.items():
    probability = decoder.predict_proba(signals[is_test])
    rows[name] = {
        "balanced accuracy": balanced_accuracy_score(
            state[is_test], decoder.classes_[probability.argmax(axis=1)]
        ),
        "log loss": log_loss(state[is_test], probability),
    }
table = pd.DataFrame(rows).T
table.round(3)

# %%
_, axes = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
axes.plot(table["log loss"], range(len(table)), "o", color="#0072B2", markersize=9)
axes.axvline(np.log(2), color="black", linestyle="--", linewidth=1)
axes.annotate("chance", (np.log(2), 2.4), xytext=(3, 0), textcoords="offset points")
axes.set_yticks(range(len(table)), table.index)
axes.set_title("Probe, LoRA and last layers")
axes.set(xlabel="log loss on three left-out subjects (lower is better)", ylim=(2.5, -0.5))
axes.set_xlim(0.4, 0.75)

# %%
# Results
# -------
# Here, fine-tuning did not outperform the probe: log losses are higher by 0.04, and at most one
# more of 24 samples is classified correctly. With 56 training samples the network overfits, and
# early stopping keeps the weights of an early epoch. ``refit=True``, the default, adds the
# validation subjects to the training data at the cost of a second training.
#
# :doc:`/adaptations` compares the methods with 40 to 120 samples of real and simulated subjects.
# LoRA with augmentation and label smoothing is the only one that was on average no worse than the
# probe, by a difference within its standard error. The authors report for their larger networks
# that fine-tuning is about 3 points better than the probe, and LoRA close to it (:doc:`/model`).
# Start with the probe, and compare on your data.
#
# With more data
# --------------
# The calls are the same. On a GPU, scored on left-out subjects::
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
# <sphx_glr_auto_tutorials_plot_20_across_subjects.py>`, with all 109 subjects of PhysioNet.
#
# References
# ----------
# .. footbibliography::
