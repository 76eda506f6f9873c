"""Read the events table of a run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from .._utils.logging import warn
from .._utils.messages import join_some
from .._utils.unique import refuse_repeated
from .bids_names import without_entities
from .sidecars import nearest_sidecar
from .tables import MISSING, read_table

#: Entities of recordings and images that events tables do not have.
_DERIVED = ("space", "description", "res", "cohort", "echo", "part", "split")


class Dropped:
    """Counts the events left out of all files, for one warning."""

    def __init__(self):
        self.counts = Counter()
        self.files = {}

    def add(self, reason, count, path):
        """Count events left out of one file."""
        if count:
            self.counts[reason] += int(count)
            self.files.setdefault(reason, []).append(Path(path).name)

    def warn(self):
        """Warn once, with counts, reasons and the first files."""
        parts = [f"{n} {why} ({join_some(self.files[why], 3)})" for why, n in self.counts.items()]
        if parts:
            warn(f"Dropped events: {'; '.join(parts)}.")


def find_events(path, datatype, root):
    """Find the events table of a recording (an mne_bids.BIDSPath, or the path of an image)."""
    # Preprocessed images have their events in the raw dataset ``root``.
    path = Path(getattr(path, "fpath", path))
    root = Path(root).expanduser().absolute()
    found = nearest_sidecar(path, "events", base=root if datatype == "func" else None)
    if found is None and datatype == "func":
        found = nearest_sidecar(path, "events")
    if found is None:
        folder = path.parent
        if datatype == "func":
            subject = next(p for p in path.parents if p.name.startswith("sub-"))
            folder = root / path.parent.relative_to(subject.parent)
        name = without_entities(path.name.rpartition("_")[0], _DERIVED)
        raise FileNotFoundError(
            f"No events for {path.name}: expected {folder / name}_events.tsv. Recordings without "
            "events go to the estimators as they are, with read_bids."
        )
    return found


def read_events(events, column, dropped, where=None):
    """Read a table of events, or its path; ``where`` names a table in messages."""
    import pandas as pd

    if isinstance(events, pd.DataFrame):
        table, path = events.astype(object).where(events.notna(), "n/a").astype(str), where
    elif isinstance(events, (str, os.PathLike)):
        if not Path(events).exists():
            raise FileNotFoundError(f"No such table of events: {events}.")
        table, path = read_table(events, ("onset", "duration", column)), events
    else:
        raise TypeError(
            f"{where} must be a DataFrame or the path of a table, got {type(events).__name__}."
        )
    for name, why in (("onset", ""), (column, " Pass column= to take another.")):
        if name not in table:
            raise ValueError(f"{path} has no column {name!r}; it has {list(table)}.{why}")
    for name, words in (("onset", "an onset"), (column, f"a {column}")):
        is_missing = table[name].isin(MISSING)
        dropped.add(f"without {words} (n/a)", is_missing.sum(), path)
        table = table[~is_missing]
    duration = table["duration"] if "duration" in table else ["n/a"] * len(table)
    events = {
        "onset": [_number(text, "onset", path) for text in table["onset"]],
        "duration": [_number(text, "duration", path) for text in duration],
        "trial_type": list(table[column]),
    }
    return pd.DataFrame(events).sort_values("onset", kind="stable", ignore_index=True)


def _number(text, name, path):
    if text in MISSING:
        return np.nan
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or (name == "duration" and value < 0):
        raise ValueError(f"{path}: the {name} {text!r} is not a number of seconds.")
    return value


def choose_events(tables, event_id):
    """Select events and give them the same codes in all files."""
    there = sorted({name for table in tables for name in table["trial_type"]})
    if event_id is None:
        event_id = [name for name in there if not name.lower().startswith(("bad", "edge"))]
    if not isinstance(event_id, dict):
        names = [event_id] if isinstance(event_id, str) else event_id
        event_id = {name: number for number, name in enumerate(names, 1)}
    refuse_repeated(event_id.values(), f"event_id: {list(event_id)} share codes")
    unknown = [name for name in event_id if name not in there]
    if unknown:
        raise ValueError(f"event_id: there is no event {unknown}; there are {there}.")
    if not event_id:
        raise ValueError(f"No events to use: the events tables have {there or 'none'}.")
    chosen = [table[table["trial_type"].isin(event_id)] for table in tables]
    return [table.reset_index(drop=True) for table in chosen], event_id


def common_duration(tables):
    """Return the duration (s) that all events share."""
    durations = np.concatenate([table["duration"].to_numpy(float) for table in tables])
    shared = len(durations) and np.isfinite(durations).all() and durations.max() > 0
    if not shared or np.ptp(durations) > 1e-3 * durations.max():
        known = np.unique(np.round(durations[np.isfinite(durations)], 3))
        words = f"{known[:5].tolist()}{' ...' if len(known) > 5 else ''}"
        raise ValueError(
            f"tmax must be given: the events do not share one duration above zero, but have "
            f"{words} s{' and n/a' if not np.isfinite(durations).all() else ''}."
        )
    return float(np.median(durations))
