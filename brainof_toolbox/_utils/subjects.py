"""Who was in a corpus, without saying who."""

from __future__ import annotations

import hashlib


def hash_subject(subject):
    """Hash a subject's name the way manifests of checkpoints keep it."""
    name = str(subject).strip().removeprefix("sub-")
    return hashlib.sha256(name.encode()).hexdigest()
