"""
The authors' released weights
=============================

The authors of Brain-OF publish weights from ``base`` to ``giant``, trained on years of recordings.
They belong to the authors' code, and run here by that code: a clone of their repository and a file
of weights, both fetched by you, become a backbone that every estimator takes in place of a
checkpoint. Their licence is CC BY-NC 4.0: not for commercial use.
"""

# %%
# What to fetch
# -------------
# ::
#
#     git clone https://github.com/HanningGuo/BrainOF
#
# and from their model card the file of weights of one size; ``large`` is what their example uses.
# **Read the clone before you run it**: it has all rights of your user. The weights are data, and
# what is pickled in them is never executed.
#
# A stand-in for this page
# ------------------------
# Nobody here has had the real clone and weights at hand. This page runs with a few lines that have
# their outside (names, arguments, what comes out) and a random linear map inside. It shows that
# calls fit together and what they return, **and nothing about the quality of the weights**. Set
# ``clone`` and ``weights`` to the real ones, and go on below.
import tempfile
from pathlib import Path

import torch

clone, weights = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "large.pth"
(clone / "models").mkdir()
(clone / "models" / "__init__.py").touch()
(clone / "models" / "transformer.py").write_text("""
from torch import nn

class StandIn(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Linear(64, 512)

    def forward(self, x):  # (batch, channels, times)
        return self.patch(x.unflatten(-1, (-1, 64))).mean((1, 2))

def brainof_large_331M_A150M(num_classes=0, layer_scale_type="per_channel"):
    return StandIn()
""")
(clone / "datasets").mkdir()
(clone / "datasets" / "__init__.py").write_text("""
import torch

class DataTransform:
    def __call__(self, x):
        return torch.as_tensor(x)
""")
draw = torch.Generator().manual_seed(0)
state = {"patch.weight": torch.randn(512, 64, generator=draw) / 8, "patch.bias": torch.zeros(512)}
torch.save(state, weights)

# %%
# Loading
# -------
# ``run_their_code=True`` is how you say that you have read it. Names and shapes of all tensors
# must match the network exactly; a checkpoint that fits only in part is refused, because it would
# leave random weights behind without a word.
from brainof_toolbox.models import load_release

backbone = load_release(clone, weights, variant="large", run_their_code=True)
print({name: backbone.info[name] for name in ("name", "parameters", "corpus", "licence")})

# %%
# Using it
# --------
# Wherever a checkpoint goes. Signals are preprocessed as for our own weights, and each modality is
# embedded by itself; rows have 512 numbers for ``large``.
from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

epochs = make_epochs(n_epochs=20, n_channels=19)
rows = BrainOFEmbedder(backbone).fit_transform(epochs)
print("released:", rows.shape, " brainof-tiny:", BrainOFEmbedder().fit_transform(epochs).shape)

decoder = BrainOFClassifier(backbone).fit(epochs, epochs.events[:, 2])
print("licence:", decoder.checkpoint_info_["licence"])

# %%
# What it cannot
# --------------
# The backbone is frozen: no LoRA, no fine-tuning, no maps of importance. Scores are as for any
# estimator, and the authors' corpus is theirs to describe: whether the people whom you test were
# in it cannot be checked here, and ``cross_validate`` will not warn. Look for your data set among
# the 37 of their paper :footcite:p:`guo2026brainof` first.
#
# :doc:`/released_weights` says more: what is run, what goes in, and what to do about a file that
# is refused. With the real weights, this is the comparison to make::
#
#     compare(
#         {
#             "released": BrainOFClassifier(backbone),
#             "brainof-tiny": BrainOFClassifier(),
#             "untrained": BrainOFClassifier(checkpoint=None),
#         },
#         epochs,
#         labels,
#         groups=subject,
#     )
#
# References
# ----------
# .. footbibliography::
