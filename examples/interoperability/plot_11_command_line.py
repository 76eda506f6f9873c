"""
The command line
================

``brainof`` writes tables of embeddings, scores decoders and lists weights without Python code. All
options are listed on the page of the :doc:`command line </command_line>`.
"""

# %%
# A small simulated BIDS folder. On this page a few lines of Python take the place of a terminal.
import os
import subprocess
import sys
import tempfile

import brainof_toolbox
from brainof_toolbox.datasets import make_paired_recordings

folder = tempfile.mkdtemp()
make_paired_recordings(
    8, modalities=["eeg", "fmri"], duration=20, write_bids=os.path.join(folder, "bids")
)


def terminal(command):
    """Run a command of ``brainof`` and show what it prints."""
    arguments = command.split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "brainof_toolbox.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    shown = f"$ {command}\n{done.stdout}{done.stderr}"
    for path in (folder, sys.prefix, os.path.dirname(os.path.dirname(brainof_toolbox.__file__))):
        shown = shown.replace(path + os.sep, "")
    print(shown)


# %%
# The installed versions and weights:
terminal("brainof info")

# %%
# One row of features for each record of the folder, with its modalities embedded together;
# ``--pooling mean`` averages the latents of the network. The table may be ``.csv``, ``.tsv``,
# ``.parquet`` or ``.npz``.
terminal("brainof embed bids --datatypes eeg func --pooling mean -o embeddings.csv")

# %%
import pandas as pd

table = pd.read_csv(os.path.join(folder, "embeddings.csv"), dtype={"subject": str})
table.iloc[:4, :8]

# %%
# Scores on left-out subjects, compared with classical decoders on the same folds:
terminal("brainof decode bids --datatypes eeg --target sex --pooling mean")

# %%
# An error is one line that states what to do, and the exit code is 1.
terminal("brainof decode bids --datatypes eeg --target handedness")
