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

    def order(group):
        *labels, run = (group[0][name] or "" for name in (*_KEY, "run"))
        head = run.partition("_")[0]
        return (*labels, int(head) if head.isdigit() else -1, run)

    return sorted(groups, key=order)


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
        seen = {}
        for file, extra in zip(same, extras, strict=True):
            parts = [file.entities["run"]] if "run" in file.entities else []
            parts += [f"{SHORT.get(key, key)}-{extra[key]}" for key in differing if key in extra]
            name = "_".join(parts) or None
            other = seen.setdefault(_normal(name), file)
            if other is not file:
                raise ValueError(
                    f"Two files hold one recording: {other.path} and {file.path}. Keep one of "
                    "them."
                )
            named.append((name, file))
    return named


def describe_missing(groups):
    """Describe which records lack a modality."""
    kinds = [{file.datatype for file in found} for _, found in groups]
    everything = sorted(set().union(*kinds))
    if all(len(kind) == len(everything) for kind in kinds):
        return ""
    tasks, without, counts = {}, "", []
    for name in everything:
        has = [name in kind for kind in kinds]
        labels = [who for who, _ in groups]
        tasks[name] = sorted(
            {who["task"] or "" for who, it in zip(labels, has, strict=True) if it}
        )
        lacking = [who["subject"] for who, it in zip(labels, has, strict=True) if not it]
        if lacking:
            subjects = sorted({f"sub-{subject}" for subject in lacking})
            without += f" Without {name}: {join_some(subjects, 20)}."
        counts.append(f"{sum(has)} have {name}")
    message = f"Of {len(groups)} records {' and '.join(counts)}."
    if all(len(kind) == 1 for kind in kinds):
        return (
            f"{message} No two modalities share subject, session, task and run, so nothing was "
            f"paired; tasks are {tasks}."
        )
    return message + without
