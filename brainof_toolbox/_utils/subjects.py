"""Hash subject labels, so that a corpus lists its subjects anonymously."""

from __future__ import annotations

import hashlib


def hash_subject(subject):
    """Hash a subject label as in the manifests of checkpoints."""
    name = str(subject).strip().removeprefix("sub-")
    return hashlib.sha256(name.encode()).hexdigest()
