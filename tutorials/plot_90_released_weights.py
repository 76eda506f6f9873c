"""
The authors' released weights
=============================

The authors of Brain-OF publish weights from ``base`` to ``giant``, trained on years of recordings.
This page shows how to use them: download the authors' code and a file of weights, load both, and
pass the result to any estimator in place of a checkpoint. The licence of the weights is CC BY-NC
4.0: not for commercial use.
"""

# %%
# Downloads
# ---------
# ::
#
#     git clone https://github.com/HanningGuo/BrainOF
#
# and, from their model card, the file of weights of one size; their example uses ``large``. **Read
# the code before you run it**: it runs with all rights of your user. The weights are read as data;
# no code in them is executed.
#
# A stand-in for this page
# ------------------------
# The real code and weights were not available for this page. It uses a stand-in with the same
# names, arguments and output shape, and a random linear map as network. It shows the calls and
# what they return, **not the quality of the weights**. Set ``clone`` and ``weights`` to the paths
# of the real ones, and continue below.
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
# ``run_their_code=True`` confirms that you have read the code. Names and shapes of all tensors
# must match the network exactly. A file that matches only in part is an error, because the other
# weights would stay random.
from brainof_toolbox.models import load_release

backbone = load_release(clone, weights, variant="large", run_their_code=True)
print({name: backbone.info[name] for name in ("name", "parameters", "corpus", "licence")})

# %%
# Using the backbone
# ------------------
# Pass it in place of a checkpoint. Signals are preprocessed with our defaults, but with the
# reference of the recording, and each modality is embedded separately. ``large`` returns 512
# features. The classifier combines them with the explicit features, as for any checkpoint.
from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

epochs = make_epochs(n_epochs=20, n_channels=19)
rows = BrainOFEmbedder(backbone).fit_transform(epochs)
print("released:", rows.shape, " brainof-tiny:", BrainOFEmbedder().fit_transform(epochs).shape)

decoder = BrainOFClassifier(backbone).fit(epochs, epochs.events[:, 2])
print("licence:", decoder.checkpoint_info_["licence"])

# %%
# Limitations
# -----------
# The backbone is frozen: no LoRA, no fine-tuning, no gradients. Whether your test subjects were in
# the authors' corpus cannot be checked here, and ``cross_validate`` does not warn. Look for your
# data set among the 37 of their paper :footcite:p:`guo2026brainof` first.
#
# :doc:`/released_weights` has the details: the code that is run, the input of the network, and
# files that are refused. With the real weights, make this comparison::
#
#     compare(
#         {
#             "released": BrainOFClassifier(backbone),
#             "brainof-tiny": BrainOFClassifier(),
#             "untrained": BrainOFClassifier(checkpoint=None),
#             "no network": BrainOFClassifier(features="explicit"),
#         },
#         epochs,
#         labels,
#         groups=subject,
#     )
#
# References
# ----------
# .. footbibliography::
