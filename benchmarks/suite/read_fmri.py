"""Read fMRI: images of blocks, and series of regions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from nilearn.signal import clean

from brainof_toolbox import Signals, epochs_from_bids, from_roi_timeseries

from ..lib.fmri import (
    STORY_CENTRES,
    haxby_folder,
    haxby_masker,
    read_centres,
    read_people,
    read_series,
    read_sites,
)
from .people import split_groups, split_people, split_sites
from .sets import Set, Task

STORY_NAMES = ["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"]


# -------------------------------------------------------------------------------- one label each
def read_tumour(root, part):
    """Read brain tumour against control; people are left out."""
    folder = root / "fmri-tvb-tumor"
    people, centres = read_people(folder), read_centres(folder / "regions.tsv")
    X, names = [], []
    for name, series in read_series(folder / "task-rest_atlas-DK68_timeseries.npz").items():
        t_r = float(people["repetition_time"][name])
        series = clean(series.T, standardize="zscore_sample", high_pass=0.01, t_r=t_r)
        X.append(from_roi_timeseries(series, t_r=t_r, roi_positions=centres, subject=name))
        names.append(name)
    y, names = people["group"][names].to_numpy(str), np.array(names)
    return Task(X, y, names, split_people(folder.name, y, names, 5, part))


def read_injury(root, part):
    """Read traumatic brain injury against control; people are left out."""
    folder = root / "fmri-tbi-schaefer1000"
    series = read_series(folder / "task-rest_atlas-Schaefer1000_timeseries.npz")
    centres = read_centres(folder / "parcels.tsv")[::5]
    names = np.array([key.split("_")[0] for key in series])
    values = np.stack([one[::5].T for one in series.values()])
    X = from_roi_timeseries(values, t_r=2.0, roi_positions=centres, subject=list(names))
    y = read_people(folder)["group"][names].to_numpy(str)
    return Task(X, y, names, split_people(folder.name, y, names, 5, part))


def read_sex(root, part):
    """Read sex; a site is left out."""
    X, people = read_sites(root, "sex")
    y, names, sites = (
        people["sex"].to_numpy(str),
        people.index.to_numpy(str),
        people["site"].to_numpy(str),
    )
    return Task(X, y, names, split_sites("fmri-rpn-rest", sites, names, part))


def read_age(root, part):
    """Read age in years; a site is left out."""
    X, people = read_sites(root, "age")
    names, sites = people.index.to_numpy(str), people["site"].to_numpy(str)
    splits = split_sites("fmri-rpn-rest", sites, names, part)
    return Task(X, people["age"].to_numpy(float), names, splits)


# ----------------------------------------------------------------------------------------- blocks
def read_pain(root, part, n_volumes=10, delay=4.0, t_r=2.0):
    """Read two lower against two higher temperatures; people are left out."""
    folder = root / "fmri-connattractor-pain"
    series = read_series(folder / "task-heatpain_atlas-MIST122_timeseries.npz")
    events = pd.read_csv(folder / "events.tsv", sep="\t", dtype={"run": str})
    events = events[events["temperature"].isin([42.3, 43.3, 45.3, 46.3])]
    # Parcels 4, 9 and 11 are flat in 23 scans.
    keep = ~np.isin(np.arange(122), (3, 8, 10))
    centres = read_centres(folder / "parcels.tsv")[keep]
    parts, y, names = [], [], []
    for (who, run), own in events.groupby(["participant_id", "run"]):
        whole = series.get(f"{who}_run-{run}")
        if whole is None:
            continue
        whole = clean(whole[keep].T, standardize="zscore_sample", high_pass=0.01, t_r=t_r)
        first = np.round((own["onset"] + delay) / t_r).astype(int).to_numpy()
        is_whole = first + n_volumes <= len(whole)
        blocks = np.stack([whole[at : at + n_volumes] for at in first[is_whole]])
        parts.append(from_roi_timeseries(blocks, t_r=t_r, roi_positions=centres, subject=who))
        y += list(np.where(own["temperature"][is_whole] > 44.3, "higher", "lower"))
        names += [who] * is_whole.sum()
    X = Signals.concatenate(parts).replace(has_baseline=True)
    y, names = np.array(y), np.array(names)
    return Task(X, y, names, split_people(folder.name, y, names, 6, part))


def read_story(root, part, n_volumes=10):
    """Read low against high word rate; people and halves of the story are left out."""
    folder = root / "fmri-story-listening"
    values, rates, names = [], [], []
    for path in sorted(folder.glob("*/*_rois-6mm_timecourses.txt")):
        who = path.parent.name
        whole = clean(np.loadtxt(path), standardize="zscore_sample")
        rate = np.loadtxt(path.parent / f"{who}_rate.txt")
        starts = np.arange(0, len(whole) - n_volumes + 1, n_volumes)
        values += [whole[at : at + n_volumes] for at in starts]
        rates.append([rate[at : at + n_volumes].mean() for at in starts])
        names += [who] * len(starts)
    # The story is one: its windows have the same label for everybody.
    rates = np.mean(rates, axis=0)
    low, high = np.quantile(rates, [1 / 3, 2 / 3])
    is_used = np.tile((rates <= low) | (rates >= high), len(names) // len(rates))
    half = np.tile(np.arange(len(rates)) >= len(rates) // 2, len(names) // len(rates))
    y = np.tile(np.where(rates >= high, "high", "low"), len(names) // len(rates))[is_used]
    names = np.array(names)[is_used]
    X = from_roi_timeseries(
        np.stack(values)[is_used],
        t_r=2.0,
        roi_positions=np.array(STORY_CENTRES) * 1e-3,
        ch_names=STORY_NAMES,
        subject=list(names),
    ).replace(has_baseline=True)
    halves = half[is_used].astype(int)
    splits = split_people(folder.name, y, names, 3, part, blocks=halves)
    return Task(X, y, names, splits)


def read_haxby(root, part):
    """Read eight categories of objects; a run is left out."""
    folder = root / "fmri-haxby"
    with tempfile.TemporaryDirectory() as scratch:
        bids = haxby_folder(folder, Path(scratch) / "haxby")
        X = epochs_from_bids(bids, datatypes="func", masker=haxby_masker(folder))
    runs = X.metadata["run"].to_numpy(str)
    return Task(X, X.metadata["trial_type"].to_numpy(str), runs, split_groups(runs))


SETS = {
    "story": Set(
        read_story,
        "fmri-story-listening",
        "low against high word rate in 20 s; people and halves of the story left out",
        "blocks",
        2,
        "person",
        "everybody heard the same story; positions of the six regions are read off their names",
    ),
    "haxby": Set(
        read_haxby,
        "fmri-haxby",
        "eight categories of objects, one axial slice; a run left out",
        "voxels",
        8,
        "run",
        "one person: nothing follows for other people",
    ),
    "pain": Set(
        read_pain,
        "fmri-connattractor-pain",
        "42.3 and 43.3 against 45.3 and 46.3 degrees of heat; people left out",
        "blocks",
        2,
        "person",
        "regulation of pain differs between runs, not between temperatures",
    ),
    "tumour": Set(
        read_tumour,
        "fmri-tvb-tumor",
        "brain tumour against control, rest; people left out",
        "runs",
        2,
        "person",
        "repetition time is 2.1 or 2.4 s in both groups",
    ),
    "injury": Set(
        read_injury,
        "fmri-tbi-schaefer1000",
        "brain injury against control, rest; people left out",
        "runs",
        2,
        "person",
        "three sessions of a patient were one series, two of a control were two",
        "every fifth parcel",
    ),
    "sex": Set(
        read_sex,
        "fmri-rpn-rest",
        "sex, rest; a site left out",
        "runs",
        2,
        "person",
        "length and sampling differ between sites",
    ),
    "age": Set(
        read_age,
        "fmri-rpn-rest",
        "age, rest; a site left out",
        "runs",
        0,
        "person",
        "length and sampling differ between sites; most people are 20 to 35",
    ),
}
