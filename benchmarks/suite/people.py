"""Choose the people who are scored and make the folds, by names alone."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

#: Keys of ``splits.toml`` that hold people who are never scored.
UNSCORED = ("pretraining", "earlier")
PARTS = ("development", "test")


@cache
def read_splits():
    """Return the parts of each data set, from ``splits.toml``."""
    return tomllib.loads((Path(__file__).parent / "splits.toml").read_text(encoding="utf-8"))


def choose_scored(folder, names, part="development"):
    """Return the people who are scored, and those who are on no side of a split.

    Parameters
    ----------
    folder : str
        Data set.
    names : sequence of str
        Everybody in it.
    part : str
        ``"development"`` or ``"test"``.

    Returns
    -------
    scored, kept_aside : list of str
        Sorted.
    """
    splits, names = read_splits(), sorted(set(names))
    own = splits.get(folder, {})
    unscored = {name for key in UNSCORED for name in own.get(key, ())}
    if "test" in own:
        other = "test" if part == "development" else "development"
        kept_aside = [name for name in names if part == "development" and name in own[other]]
        return [name for name in names if name in own[part]], kept_aside
    if splits["whole-sets"].get(folder, "development") != part:
        return [], []
    return [name for name in names if name not in unscored], []


def choose_trained(folder, names):
    """Return the people, sorted, that weights may be trained on."""
    splits, names = read_splits(), sorted(set(names))
    if splits["whole-sets"].get(folder) == "pretraining":
        return names
    return [name for name in names if name in splits.get(folder, {}).get("pretraining", ())]


def fold_people(scored, y, groups, n_folds):
    """Deal people to folds in the order of their names, classes apart where each has one label."""
    labels = pd.Series(y).groupby(np.asarray(groups)).agg(["nunique", "first"])
    has_one = (labels["nunique"] == 1).all()
    key = (lambda who: (str(labels["first"][who]), who)) if has_one else str
    ordered = sorted(scored, key=key)
    n_folds = min(n_folds, len(ordered))
    return [ordered[first::n_folds] for first in range(n_folds)]


def split_people(folder, y, groups, n_folds=5, part="development", blocks=None):
    """Make splits that leave people out.

    Parameters
    ----------
    folder : str
        Data set.
    y, groups : ndarray, shape (n_samples,)
        Labels and people.
    n_folds : int
        At most so many.
    part : str
        Whom to score.
    blocks : ndarray, shape (n_samples,) | None
        What is left out too, site or part of a stimulus. With blocks, training people are of
        other blocks than those tested.

    Returns
    -------
    splits : list of (ndarray, ndarray)
        Training and test samples.
    """
    scored, kept_aside = choose_scored(folder, groups, part)
    usable = ~np.isin(groups, kept_aside)
    splits = []
    for people in fold_people(scored, y, groups, n_folds):
        is_out = np.isin(groups, people)
        for block in [None] if blocks is None else np.unique(blocks[is_out]):
            here = np.ones(len(y), bool) if block is None else blocks == block
            there = here if block is None else ~here
            train = np.flatnonzero(usable & ~is_out & there)
            splits.append((train, np.flatnonzero(is_out & here)))
    return splits


def split_sites(folder, sites, groups, part="development"):
    """Make splits that leave a site out and test its scored people."""
    scored, kept_aside = choose_scored(folder, groups, part)
    usable, is_scored = ~np.isin(groups, kept_aside), np.isin(groups, scored)
    return [
        (np.flatnonzero(usable & (sites != site)), np.flatnonzero(is_scored & (sites == site)))
        for site in np.unique(sites[is_scored])
    ]


def split_groups(groups):
    """Make splits that leave one run or session out."""
    names = pd.unique(np.asarray(groups))
    return [(np.flatnonzero(groups != name), np.flatnonzero(groups == name)) for name in names]


def split_in_order(y, n_folds=5):
    """Make splits of one person's trials: spans in the order of each class."""
    rank = pd.Series(y).groupby(y).cumcount().to_numpy()
    size = pd.Series(y).groupby(y).transform("size").to_numpy()
    fold = rank * n_folds // size
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]


def spread(n_available, n_wanted):
    """Return evenly spaced indices, at most ``n_wanted``."""
    n_wanted = min(n_available, n_wanted)
    return (np.arange(n_wanted) * n_available / max(n_wanted, 1)).astype(int)
