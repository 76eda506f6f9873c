"""Group the recordings of one record, and describe what is missing."""

from __future__ import annotations

from collections import defaultdict

from .._utils.messages import join_some
from .bids_names import SHORT, plain_label

#: Entities that identify a record, with the run.
_KEY = ("subject", "session", "task")
#: Entities that do not distinguish two recordings.
_IGNORED = (*_KEY, "run", "split", "space", "description", "res", "cohort", "den", "label", "part")


def pair(files):
    """Group the recordings of one subject, session, task and run."""
    by_task = defaultdict(list)
    for file in files:
        by_task[tuple(file.entities.get(name) for name in _KEY)].append(file)
    groups = []
    for key, found in by_task.items():
        for run, members in _pair_runs(found).items():
            labels = dict(zip(_KEY, key, strict=True), run=run[1])
            groups.append((labels, members))
    return sorted(groups, key=lambda group: _order(group[0]))


def _order(who):
    run = who["run"] or ""
    head = run.partition("_")[0]
    number = int(head) if head.isdigit() else -1
    return (*(who[name] or "" for name in _KEY), number, run)


def _pair_runs(files):
    """Group recordings of one subject, session and task by run."""
    runs = {}
    for datatype in ("func", "eeg", "meg"):
        for run, file in _name_runs([f for f in files if f.datatype == datatype]):
            runs.setdefault(_normal(run), (run, []))[1].append(file)
    named = [key for key in runs if key is not None]
    if None in runs and len(named) == 1:
        have = {file.datatype for file in runs[named[0]][1]}
        if not have & {file.datatype for file in runs[None][1]}:
            runs[named[0]][1].extend(runs.pop(None)[1])
    return {(key, run): members for key, (run, members) in runs.items()}


def _normal(run):
    """Remove leading zeros: ``run-1`` and ``run-01`` are one run."""
    if run is None:
        return None
    head, line, rest = run.partition("_")
    return plain_label("run", head) + line + rest


def _name_runs(files):
    """Name the run of each file of one datatype; add entities that differ within a run."""
    by_run = defaultdict(list)
    for file in files:
        by_run[_normal(file.entities.get("run"))].append(file)
    named = []
    for same in by_run.values():
        extras = [{k: v for k, v in file.entities.items() if k not in _IGNORED} for file in same]
        keys = list(dict.fromkeys(key for extra in extras for key in extra))
        differing = [key for key in keys if len({extra.get(key) for extra in extras}) > 1]
        names = [
            _run_name(f.entities.get("run"), e, differing)
            for f, e in zip(same, extras, strict=True)
        ]
        for i, name in enumerate(names):
            other = next((same[k] for k in range(i) if _normal(names[k]) == _normal(name)), None)
            if other is not None:
                raise ValueError(
                    f"Two files hold one recording: {other.path} and {same[i].path}. Keep one "
                    "of them."
                )
        named.extend(zip(names, same, strict=True))
    return named


def _run_name(run, extra, differing):
    parts = [run] if run is not None else []
    parts += [f"{SHORT.get(key, key)}-{extra[key]}" for key in differing if key in extra]
    return "_".join(parts) or None


def describe_missing(groups):
    """Describe which records lack a modality."""
    kinds = [{file.datatype for file in found} for _, found in groups]
    everything = sorted(set().union(*kinds))
    if all(len(kind) == len(everything) for kind in kinds):
        return ""
    counts = " and ".join(
        f"{sum(name in kind for kind in kinds)} have {name}" for name in everything
    )
    message = f"Of {len(groups)} records {counts}."
    if all(len(kind) == 1 for kind in kinds):
        tasks = {
            name: sorted(
                {
                    who["task"] or ""
                    for (who, _), kind in zip(groups, kinds, strict=True)
                    if name in kind
                }
            )
            for name in everything
        }
        return (
            f"{message} No two modalities share subject, session, task and run, so nothing was "
            f"paired; tasks are {tasks}."
        )
    for name in everything:
        subjects = [
            who["subject"]
            for (who, _), kind in zip(groups, kinds, strict=True)
            if name not in kind
        ]
        if subjects:
            message += f" Without {name}: {_shorten(subjects)}."
    return message


def _shorten(subjects):
    return join_some(sorted({f"sub-{subject}" for subject in subjects}), 20)
