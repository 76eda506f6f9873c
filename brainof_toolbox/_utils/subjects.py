"""Who was in a corpus, without saying who."""

from __future__ import annotations

import hashlib


def hash_subject(subject):
    """Hash a subject's name the way manifests of checkpoints keep it.

    Parameters
    ----------
    subject : object
        Name or number; ``"sub-01"`` and ``"01"`` are the same subject.

    Returns
    -------
    digest : str
        SHA-256 in hexadecimal digits.
    """
    name = str(subject).strip().removeprefix("sub-")
    return hashlib.sha256(name.encode()).hexdigest()
