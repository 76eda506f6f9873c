"""Names of EEG channels: prefixes, references, and derivations between two electrodes."""

from __future__ import annotations

import re

import numpy as np

#: Electrodes of which a mean is a reference; of two it would remove the signal.
FEWEST = 3
#: Words that file formats put before the name of a channel.
PREFIX = re.compile(r"^(?:(?:EEG|POL|EDF)[\s_:\-]+)+", re.IGNORECASE)
#: What was subtracted ("Fp1-REF", "C3:M2", "Cz - Avg"), or the number MNE adds to a repeated name.
SUBTRAHEND = re.compile(
    r"(?:\s*[-_:/]\s*|\s+)(?:REF|LE|RE|AVG|AR|CAR|M[12]|A[12]|A1A2)$|[-_]\d$", re.IGNORECASE
)
#: Two electrodes ("Fp1-F7", "C3 - CPz", "T8:P8"), the second of which was subtracted.
_PAIR = re.compile(
    r"[A-Z]+(?:Z|\d{1,3}H?)(?:\s*[-\u2013_:/]\s*|\s+)([A-Z]+(?:Z|\d{1,3}H?))", re.IGNORECASE
)


def strip_name(name):
    """Return the name of a channel without its prefix and its reference."""
    return SUBTRAHEND.sub("", PREFIX.sub("", name.strip(" ."))).strip(" .")


def find_derivations(names):
    """Find channels that are differences of two electrodes: (n_channels,) bool."""
    pairs = [_PAIR.fullmatch(strip_name(name)) for name in names]
    second = [pair[1].upper() for pair in pairs if pair]
    if len(second) > 2 and len(set(second)) == 1:  # "F3-Cz", "F4-Cz", "Pz-Cz": one reference
        second = []
    return np.array([pair is not None for pair in pairs]) & bool(second)


def share_a_reference(names):
    """Find EEG channels that are re-referenced together: (n_channels,) bool, none or over two."""
    is_electrode = ~find_derivations(names)
    return is_electrode & (is_electrode.sum() >= FEWEST)
