"""A small corpus that many tests read."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """The folder of a corpus with all three modalities, two datasets and three montages.

    EEG (19 and 8 channels), MEG (12) and fMRI (10 regions) of three simulated subjects; read-only
    by agreement.
    """
    from recordings import make_windows

    from brainof_toolbox.pretraining._write import write_corpus

    directory = tmp_path_factory.mktemp("corpora") / "small"
    write_corpus(directory, make_windows())
    return directory
