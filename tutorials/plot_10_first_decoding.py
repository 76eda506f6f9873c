"""
First decoding of an EEG recording
==================================

Text.
"""

from brainof_toolbox import BrainOFEmbedder
from brainof_toolbox.datasets import make_epochs

epochs = make_epochs(n_epochs=8)
BrainOFEmbedder().fit_transform(epochs)
