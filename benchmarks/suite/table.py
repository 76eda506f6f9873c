"""Write the results as a page of text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .conditions import AS_RECORDED
from .decoders import BRAINOF, DEFAULT, WITHOUT
from .figure import draw_figure
from .sets import SETS
from .summary import interval, pool

_NOTES = """\
Scores are balanced accuracies over all test samples; of a continuous target, the share by which
the absolute error of the training median is reduced (skill). Intervals are 95 %, groups drawn
with replacement. The best classical decoder is the best of all on the same test samples, which
favours it. Sets marked * are left out of the pooled numbers. Under "other cap" decoders are
trained with the electrodes of the 10-20 system and tested with all others (motor, pictures) or
with every second of them; a classical decoder has no features for these."""


def write_table(summary):
    """Return the page.

    Parameters
    ----------
    summary : Summary
        Results.

    Returns
    -------
    text : str
        Sets, pooled differences, conditions, what cannot run, all decoders, the sets' notes.
    """
    parts = [
        _text(list_sets(summary)),
        _pooled(summary),
        _text(list_others(summary)),
        _text(list_conditions(summary)),
        _every_decoder(summary),
        _times(summary),
        _about(summary),
        _NOTES,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mark(name):
    return name if SETS[name].is_claimed else f"{name} *"


def _text(rows):
    return pd.DataFrame(rows).to_string(index=False, na_rep="-") if rows else ""


def _score(there, name):
    return f"{there[name].score:.2f}" if name in there else "-"


def list_sets(summary):
    """Return a row per set: the default decoder, its parts, and the best classical one."""
    rows, pairs = [], summary.pairs(None)
    for name in SETS:
        there = summary.decoders(name)
        if not there:
            continue
        row = {"set": _mark(name), "chance": f"{SETS[name].chance:.2f}"}
        row |= {decoder: _score(there, decoder) for decoder in BRAINOF}
        best = summary.best_classical(name)
        row["best classical"] = f"{_score(there, best)} {best or ''}"
        if name in pairs:
            pair = pairs[name]
            row["difference"] = (
                f"{pair['difference']:+.2f} [{pair['low']:+.2f} {pair['high']:+.2f}]"
            )
            row["p"] = f"{pair['p_value']:.3f}"
        row["groups"] = f"{len(next(iter(there.values())).names)} {SETS[name].unit}"
        rows.append(row)
    return rows


def list_others(summary):
    """Return a row per other decoder: mean difference of the default one where both can run."""
    names = {name for key in SETS for name in summary.decoders(key) if name != DEFAULT}
    rows = []
    for other in sorted(names, key=lambda name: (name not in BRAINOF, name)):
        found = pool(summary.pairs(other))
        if found is not None:
            rows.append(
                {
                    "default against": other,
                    "sets": found["n_sets"],
                    "mean difference": f"{found['difference']:+.3f} [{found['low']:+.3f} "
                    f"{found['high']:+.3f}]",
                    "groups": found["n_groups"],
                    "p": f"{found['p_value']:.4f}",
                }
            )
    return rows


def _pooled(summary):
    lines = []
    for other, words in ((None, "the best classical decoder"), (WITHOUT, WITHOUT)):
        found = pool(summary.pairs(other))
        if found is None:
            lines.append(f"default against {words}: no set has both")
            continue
        lines.append(
            f"default against {words}: {found['difference']:+.3f} [{found['low']:+.3f} "
            f"{found['high']:+.3f}] on average over {found['n_sets']} sets; "
            f"{found['over_groups']:+.3f} on average over {found['n_groups']} groups, "
            f"p = {found['p_value']:.4f}; more than 0.05 below: "
            f"{', '.join(found['below']) or 'none'}"
        )
    return "\n".join(lines)


def list_scores(summary):
    """Return a row per set and decoder: its score and 95 % interval over groups."""
    rows = []
    for name in SETS:
        for decoder, counts in summary.decoders(name).items():
            low, high = interval(counts)
            row = {"set": _mark(name), "decoder": decoder, "score": counts.score}
            row |= {"low": low, "high": high, "chance": SETS[name].chance}
            rows.append(row | {"groups": len(counts.names), "unit": SETS[name].unit})
    return rows


def list_conditions(summary):
    """Return a row per set and condition beside the recordings as they are."""
    rows = []
    for name, condition, fraction in summary.cells():
        if condition == AS_RECORDED and fraction == 1:
            continue
        there = summary.decoders(name, condition, fraction)
        share = condition if fraction == 1 else f"{fraction:.0%} of labels"
        row = {"set": _mark(name), "condition": share}
        row |= {one: _score(there, one) for one in (DEFAULT, WITHOUT)}
        best = summary.best_classical(name, condition, fraction)
        row["best classical"] = "cannot run" if best is None else f"{_score(there, best)} {best}"
        failed = [key for key in summary.failures if key[:3] == (name, condition, fraction)]
        row["cannot run"] = len(failed)
        rows.append(row)
    return rows


def write_pages(summary, folder):
    """Write the tables and the figure of the book.

    Parameters
    ----------
    summary : Summary
        Results.
    folder : Path
        The book's folder, with ``tables``.
    """
    tables = {
        "suite_sets": list_sets(summary),
        "suite_others": list_others(summary),
        "suite_conditions": list_conditions(summary),
        "suite_scores": list_scores(summary),
    }
    for name, rows in tables.items():
        frame = pd.DataFrame(rows).dropna(axis=1, how="all").fillna("-")
        frame = frame.loc[:, (frame != "-").any()]
        frame.to_csv(folder / "tables" / f"{name}.csv", index=False, float_format="%.3f")
    draw_figure(summary).savefig(folder / "suite.png", dpi=120)


def _every_decoder(summary):
    """Write all decoders, a line per set."""
    rows = []
    for name in SETS:
        there = summary.decoders(name)
        scores = [f"{decoder} {there[decoder].score:.3f}" for decoder in there]
        failed = [key[3] for key in summary.failures if key[:3] == (name, AS_RECORDED, 1.0)]
        scores += [f"cannot run: {', '.join(failed)}"] * bool(failed)
        if scores:
            rows.append(f"{_mark(name)}: " + "; ".join(scores))
            if DEFAULT in there:
                low, high = interval(there[DEFAULT])
                rows[-1] += f" (default [{low:.2f} {high:.2f}])"
            lines = summary.lines.get((name, AS_RECORDED, 1.0, DEFAULT), [])
            if SETS[name].is_regression and lines:
                y, predicted = (
                    np.concatenate([line[key] for line in lines]) for key in ("y", "predicted")
                )
                rows[-1] += f" (default: r {np.corrcoef(y, predicted)[0, 1]:.2f})"
    return "\n".join(rows)


def _times(summary):
    """Write the processor time of each set, over decoders and conditions."""
    spent = {}
    for (name, *_), lines in summary.lines.items():
        by_seed = {line["seed"]: line["cpu_seconds"] for line in lines}
        spent[name] = spent.get(name, 0.0) + sum(by_seed.values())
    total = sum(spent.values())
    each = ", ".join(f"{name} {seconds:.0f}" for name, seconds in spent.items())
    return f"Processor seconds: {each}; {total / 60:.1f} minutes together."


def _about(summary):
    return "\n".join(
        f"{_mark(name)}: {entry.title}. {entry.confound}."
        + ("" if entry.sampling == "none" else f" Used: {entry.sampling}.")
        for name, entry in SETS.items()
        if summary.decoders(name)
    )
