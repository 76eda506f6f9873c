"""A checkpoint small enough that a fit takes a fraction of a second."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def small_checkpoint(micro_checkpoint):
    """The folder of a checkpoint of width 32; read-only by agreement."""
    return micro_checkpoint
