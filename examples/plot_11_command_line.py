"""
The command line
================

``brainof`` does without Python what most studies begin with: a table of embeddings, a score, and
what weights there are. Everything it takes stands on the page of the :doc:`command line
</command_line>`.
"""

# %%
# A small BIDS folder to work on, simulated. In this page a few lines of Python stand for a
# terminal.
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
    said = f"$ {command}\n{done.stdout}{done.stderr}"
    for path in (folder, sys.prefix, os.path.dirname(os.path.dirname(brainof_toolbox.__file__))):
        said = said.replace(path + os.sep, "")
    print(said)


# %%
# What is installed, and which weights?
terminal("brainof info")

# %%
# One row of features for each record of the folder, with its modalities read together. Without
# ``--pooling mean`` there would be 16,384 columns. The table may be ``.csv``, ``.tsv``,
# ``.parquet`` or ``.npz``.
terminal("brainof embed bids --datatypes eeg func --pooling mean -o embeddings.csv")

# %%
import pandas as pd

table = pd.read_csv(os.path.join(folder, "embeddings.csv"), dtype={"subject": str})
table.iloc[:4, :8]

# %%
# Scores on people left out, beside classical decoders.
terminal("brainof decode bids --datatypes eeg --target sex --pooling mean")

# %%
# Errors are one line that says what to do, and the exit code is 1.
terminal("brainof decode bids --datatypes eeg --target handedness")
