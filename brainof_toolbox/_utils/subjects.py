"""Hash subject labels, so that a corpus lists its subjects anonymously."""

from __future__ import annotations

import hashlib


def hash_subject(subject):
    """Hash a subject label as in the manifests of checkpoints."""
    name = str(subject).strip().removeprefix("sub-")
    return hashlib.sha256(name.encode()).hexdigest()


def add_data_set(found, dataset):
    """Hash the hash of a subject with its data set, as other data sets have a "01" too."""
    return hashlib.sha256(f"{dataset}/{found}".encode()).hexdigest()
