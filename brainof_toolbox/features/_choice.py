"""Blocks by name or fingerprint, and which of them apply."""

from __future__ import annotations

from .._utils.validation import check_fields, check_option
from ._block import Block
from ._covariance import Covariance
from ._evoked import Evoked

_KINDS = {kind.name: kind for kind in (Covariance, Evoked)}


def get_blocks(blocks=tuple(_KINDS)):
    """Return blocks by name.

    Parameters
    ----------
    blocks : str | Block | dict | sequence of these
        Names of blocks, which get default parameters; blocks; or fingerprints of blocks.

    Returns
    -------
    blocks : dict of str -> Block
        In the given order.

    Raises
    ------
    ValueError
        If a name is unknown or occurs twice, or a fingerprint is of another version.

    Examples
    --------
    >>> from brainof_toolbox.features import Covariance, get_blocks
    >>> list(get_blocks(("covariance", "evoked")))
    ['covariance', 'evoked']
    >>> get_blocks(Covariance(n_channels=32).fingerprint())["covariance"].n_channels
    32
    """
    if isinstance(blocks, (str, dict, Block)):
        blocks = [blocks]
    found = {}
    for item in blocks:
        block = _make_block(item)
        if block.name in found:
            raise ValueError(f"The block {block.name!r} occurs twice. Give each block once.")
        found[block.name] = block
    return found


def _make_block(item):
    if isinstance(item, Block):
        return item
    if isinstance(item, str):
        return _KINDS[check_option("blocks", item, tuple(_KINDS))]()
    if not isinstance(item, dict):
        raise TypeError(f"A block is a name, a Block or its fingerprint, got {item!r}.")
    values = dict(item)
    kind = _KINDS[check_option("blocks", values.pop("name", None), tuple(_KINDS))]
    version = values.pop("version", None)
    if version != kind.version:
        raise ValueError(
            f"The block {kind.name!r} has version {kind.version} here, and version {version!r} in "
            "the fingerprint: its numbers differ. Compute the features and fit again."
        )
    return kind(**check_fields(kind, values, f"parameter of the block {kind.name!r}"))


def available(signals, blocks=tuple(_KINDS)):
    """Return the blocks that apply to signals.

    The covariance applies to all. The evoked time course of EEG and MEG applies to samples that
    are locked to an event (``Signals.is_locked``): epochs and averages, but not recordings or
    windows that were cut out of longer samples. Mean and slope of fMRI apply to samples whose
    values are relative to a baseline (``Signals.has_baseline``): trials, but not whole runs.

    Parameters
    ----------
    signals : Signals
        Samples of one modality, or windows cut out of them.
    blocks : str | Block | dict | sequence of these
        Blocks to choose from, as of :func:`get_blocks`.

    Returns
    -------
    blocks : dict of str -> Block
        Those that apply, by name.

    Examples
    --------
    >>> from brainof_toolbox import datasets, from_epochs, from_raw
    >>> from brainof_toolbox.features import available
    >>> list(available(from_epochs(datasets.make_epochs(n_epochs=4))))
    ['covariance', 'evoked']
    >>> list(available(from_raw(datasets.make_raw(duration=20), window=4.0)))
    ['covariance']
    """
    found = get_blocks(blocks)
    return {name: block for name, block in found.items() if block.is_available(signals)}
