"""Measure what rows of features contain about people: identification, shares of the variance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..lib.fmri import identify_each, load_rest, read_scored_sites


def load_sites(part):
    """Load halves of the runs of the people of three sites who are scored."""
    runs, names, sites = read_scored_sites(part)
    return *halve(runs), names, sites


def load_one_site(part):
    """Load halves of the runs of ten people of one site, who are in no corpus."""
    runs = load_rest()
    names = [str(run.subject[0]) for run in runs]
    return *halve(runs), names, np.zeros(len(names), int)


#: From a part of the split to first and second halves, people and sites.
HALVES = {"three sites, rest": load_sites, "one site, rest": load_one_site}


def halve(runs):
    """Return first and second halves of runs."""
    middles = [run.shape[2] // 2 for run in runs]
    first = [run.data[:, :, :at] for run, at in zip(runs, middles, strict=True)]
    second = [run.data[:, :, at:] for run, at in zip(runs, middles, strict=True)]
    return tuple(
        [run.replace(data=data, good_segments=None) for run, data in zip(runs, half, strict=True)]
        for half in (first, second)
    )


def correlations(samples):
    """Return correlations between regions (n_samples, n_pairs)."""
    upper = np.triu_indices(samples[0].shape[1], 1)
    return np.stack([np.corrcoef(one.data[0])[upper] for one in samples])


def means(samples):
    """Return the mean of each region (n_samples, n_channels)."""
    return np.stack([one.data[0].mean(axis=1) for one in samples])


DESCRIBED = {"region correlations": correlations, "region means": means}
#: Runs without a mean: those of the halves are opposite, and identify no one.
CENTRED = ("three sites, rest",)


def describe_runs(name, first, second):
    """Return the classical features of both halves: dict of str -> (ndarray, ndarray)."""
    kinds = {
        form: make for form, make in DESCRIBED.items() if name not in CENTRED or make != means
    }
    return {form: (make(first), make(second)) for form, make in kinds.items()}


def identify_people(first, second, names, sites, seed=0):
    """Find each person's second half by the first, and the reverse, among those of the site.

    Parameters
    ----------
    first, second : ndarray, shape (n_people, n_features)
        Rows of both halves.
    names : sequence of str
        People.
    sites : ndarray, shape (n_people,)
        Candidates are of the same site.
    seed : int
        Of the weights.

    Returns
    -------
    lines : list of dict
        Like those of the suite: ``right`` is the share of both directions that is correct; with
        ``chance``.
    """
    lines = []
    for site in np.unique(sites):
        here = np.flatnonzero(sites == site)
        found = identify_each(first[here], second[here])
        lines += [
            {
                "fold": str(site),
                "group": names[i],
                "seed": seed,
                "right": {"found": float(share)},
                "total": {"found": 1.0},
                "chance": 1 / len(here),
            }
            for i, share in zip(here, found, strict=True)
        ]
    return lines


def share_variance(rows, entry, task):
    """Return the shares of the variance between people, and between their states.

    Columns count the same. The shares are those of an analysis of variance with people, and states
    (labels) nested in people; what the residual alone would add to each is taken off.

    Parameters
    ----------
    rows : ndarray, shape (n_samples, n_features)
        Features.
    entry : Set
        The set.
    task : Task
        Labels, people and splits; samples that are tested count.

    Returns
    -------
    shares : dict of str -> float | None
        ``people`` and ``states``; ``None`` where a group is no person or has one label.
    """
    if entry.unit != "person" or entry.is_regression:
        return None
    tested = np.unique(np.concatenate([test for _, test in task.splits]))
    people = pd.factorize(task.groups[tested])[0]
    cells = pd.factorize(pd.MultiIndex.from_arrays([people, task.y[tested]]))[0]
    n_people, n_cells, n = people.max() + 1, cells.max() + 1, len(tested)
    if not n_people < n_cells < n:
        return None
    rows = np.asarray(rows[tested], float)
    rows = rows - rows.mean(axis=0)
    size = rows.std(axis=0)
    rows = rows[:, size > 0] / size[size > 0]
    total = np.square(rows).sum()
    between_people, between_cells = (_between(rows, groups) for groups in (people, cells))
    noise = (total - between_cells) / (n - n_cells)
    people_part = between_people - (n_people - 1) * noise
    states_part = between_cells - between_people - (n_cells - n_people) * noise
    parts = {"people": people_part, "states": states_part}
    return {name: round(max(float(part / total), 0.0), 4) for name, part in parts.items()}


def _between(rows, groups):
    """Return the sum of squares of the groups' means of centred rows."""
    frame = pd.DataFrame(rows).groupby(groups)
    return float((frame.mean().pow(2).sum(axis=1) * frame.size()).sum())
