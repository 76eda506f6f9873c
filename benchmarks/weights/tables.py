"""Summarise lines of results: scores, paired differences, means over sets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..suite.conditions import AS_RECORDED, CONDITIONS
from ..suite.decoders import DEFAULT, WITHOUT
from ..suite.sets import SETS
from ..suite.summary import count, difference, interval, pool
from .people import HALVES
from .scoring import CLASSICAL, FORMS, UNTRAINED, key_of

BEST = "best classical"
#: Form of the latents that ``BrainOFEmbedder()`` gives.
EMBEDDING = "embedding"
#: A decoder this far below another one is named.
MARGIN = 0.02


class Results:
    """Hold the counts of each embedding on each set.

    Parameters
    ----------
    rows : list of dict
        Lines of results.
    titles : dict of str -> str
        From checkpoints to their titles in tables, in order; untrained ones are one.
    suite : Summary | None
        Stored results of the suite, for the classical decoders.
    """

    def __init__(self, rows, titles, suite=None):
        self.suite, lines, self.variance, self.chance = suite, {}, {}, {}
        for row in {key_of(row): row for row in rows}.values():
            name, title = row["set"], titles.get(row["checkpoint"])
            if title is None:
                continue
            cell = (name, row.get("condition", AS_RECORDED), float(row.get("fraction", 1.0)))
            for form, own in _name_embedding(row["forms"], row["checkpoint"]).items():
                lines.setdefault(cell, {}).setdefault(f"{title} {form}".strip(), []).extend(own)
                if name in HALVES:
                    self.chance[name] = float(np.mean([line["chance"] for line in own]))
            for form, own in _name_embedding(row.get("variance", {}), row["checkpoint"]).items():
                key = name, f"{title} {form}"
                self.variance[key] = [*self.variance.get(key, []), own]
        forms, titles = (EMBEDDING, *FORMS[1:]), dict.fromkeys(titles.values())
        self.keys = [f"{title} {form}" for form in forms for title in titles]
        self.counts = {
            cell: {key: count(own) for key, own in found.items()} for cell, found in lines.items()
        }

    def there(self, name, condition=AS_RECORDED, fraction=1.0):
        """Return the counts of a cell in the order of the keys, the best classical one last."""
        found = self.counts.get((name, condition, fraction), {})
        keys = sorted(found, key=lambda key: (key not in self.keys, _at(self.keys, key)))
        ordered = {key: found[key] for key in keys}
        classical = self.classical(name, condition, fraction)
        return ordered if classical is None else {**ordered, BEST: classical[1]}

    def classical(self, name, condition=AS_RECORDED, fraction=1.0):
        """Return name and counts of the best classical decoder of the suite, or None."""
        cell = name, condition, fraction
        best = self.suite and self.suite.best_classical(*cell)
        return (best, self.suite.decoders(*cell)[best]) if best else None

    def cells(self):
        """Return sets, conditions and fractions of the suite with results, in order."""
        order = {name: i for i, name in enumerate([*SETS, AS_RECORDED, *CONDITIONS])}
        cells = [cell for cell in self.counts if cell[0] in SETS]
        return sorted(cells, key=lambda cell: (order[cell[0]], -cell[2], order[cell[1]]))

    def pairs(self, first, second, condition=AS_RECORDED, fraction=1.0):
        """Return paired differences of two keys, by set."""
        cells = {name: self.there(name, condition, fraction) for name in SETS}
        return {
            name: difference(own[first], own[second])
            for name, own in cells.items()
            if first in own and second in own
        }

    @property
    def others(self):
        """Return the keys that the first one is compared with."""
        return [*self.keys[1:], BEST]


def _name_embedding(forms, checkpoint):
    """Name what trained weights give by default: compact, or flatten without read-outs."""
    is_trained = checkpoint != CLASSICAL and not checkpoint.startswith(UNTRAINED)
    if not is_trained or "flatten" not in forms:
        return forms
    default = "compact" if "compact" in forms else "flatten"
    others = {form: own for form, own in forms.items() if form != default}
    return {EMBEDDING: forms[default], **others}


def _at(keys, key):
    return keys.index(key) if key in keys else len(keys)


def text_of(pair, sign="+"):
    """Write a value with its interval."""
    value = pair["difference"]
    return f"{value:{sign}.3f} [{pair['low']:{sign}.2f} {pair['high']:{sign}.2f}]"


def mark(name):
    """Return the name of a set, with a star where it is not pooled."""
    return name if SETS[name].is_claimed else f"{name} *"


def words(condition, fraction):
    """Name a condition or a share of the labels."""
    return condition if fraction == 1 else f"{fraction:.0%} of labels"


def list_scores(results):
    """Return a row per set and embedding: score and 95 % interval over groups."""
    rows = []
    for name in (cell[0] for cell in results.cells() if cell[1:] == (AS_RECORDED, 1.0)):
        for key, counts in results.there(name).items():
            low, high = interval(counts)
            title = f"{key}: {results.classical(name)[0]}" if key == BEST else key
            row = {"set": mark(name), "features": title, "score": counts.score}
            row |= {"low": low, "high": high, "chance": SETS[name].chance}
            rows.append(row | {"groups": len(counts.names), "unit": SETS[name].unit})
    return rows


def list_differences(results):
    """Return a row per set: the first embedding minus each other one."""
    rows, first = [], results.keys[0]
    found = {other: results.pairs(first, other) for other in results.others}
    for name in SETS:
        own = {other: pairs[name] for other, pairs in found.items() if name in pairs}
        if own:
            row = {"set": mark(name), "groups": next(iter(own.values()))["n_groups"]}
            for other, pair in own.items():
                row[f"against {other}"] = f"{text_of(pair)}, p = {pair['p_value']:.3f}"
            rows.append(row)
    return rows


def list_means(results):
    """Return a row per comparison: the mean over claimed sets that have both."""
    first = results.keys[0]
    pairs = {(first, other): results.pairs(first, other) for other in results.others}
    if results.suite is not None:
        pairs[f"{DEFAULT} decoder", WITHOUT] = results.suite.pairs(WITHOUT)
    return [_mean(*keys, own) for keys, own in pairs.items() if pool(own)]


def _mean(first, other, pairs):
    """Return a row of :func:`list_means`."""
    found = pool(pairs)
    pairs = {name: pair for name, pair in pairs.items() if SETS[name].is_claimed}
    clear = [pair["difference"] for pair in pairs.values() if pair["p_value"] < 0.05]
    below = [name for name, pair in pairs.items() if pair["difference"] < -MARGIN]
    return {
        "features": first,
        "against": other,
        "mean difference": text_of(found),
        "p": f"{found['p_value']:.4f}",
        "sets": found["n_sets"],
        "groups": found["n_groups"],
        "better, p < 0.05": sum(value > 0 for value in clear),
        "worse, p < 0.05": sum(value < 0 for value in clear),
        f"more than {MARGIN} below": ", ".join(below) or "none",
    }


def list_harder(results):
    """Return a row per condition: mean differences, first embedding minus each other one."""
    rows, first = [], results.keys[0]
    fractions = sorted({cell[2] for cell in results.counts} - {1.0}, reverse=True)
    cells = [(AS_RECORDED, share) for share in fractions] + [(name, 1.0) for name in CONDITIONS]
    for cell in cells:
        found = {other: pool(results.pairs(first, other, *cell)) for other in results.others}
        found = {other: pooled for other, pooled in found.items() if pooled}
        if found:
            sets = max(pooled["n_sets"] for pooled in found.values())
            row = {"condition": words(*cell), "sets": sets}
            for other, pooled in found.items():
                row[f"against {other}"] = f"{text_of(pooled)}, p = {pooled['p_value']:.3f}"
            rows.append(row)
    return rows


def list_conditions(results):
    """Return a row per set and condition: the scores side by side, those as recorded too."""
    rows, names = [], {cell[0] for cell in results.counts if cell[1:] != (AS_RECORDED, 1.0)}
    for name, condition, fraction in results.cells():
        if name in names:
            there = results.there(name, condition, fraction)
            row = {"set": mark(name), "condition": words(condition, fraction)}
            keys = (key for key in (*results.keys, BEST) if key in there)
            rows.append(row | {key: f"{there[key].score:.2f}" for key in keys})
    return rows


def list_people(results):
    """Return a row per set and features: the share of people who are identified."""
    rows = []
    for name in HALVES:
        for key, counts in results.there(name).items():
            low, high = np.clip(interval(counts), 0, 1)
            row = {"people": f"{len(counts.names)}, {name}", "features": key}
            row |= {"identified": counts.score, "low": low, "high": high}
            rows.append(row | {"chance": results.chance[name]})
    return rows


def list_variance(results):
    """Return a row per set and embedding: shares of the variance."""
    rows = []
    for name in SETS:
        for key in results.keys:
            found = results.variance.get((name, key))
            if found:
                share = {part: np.mean([one[part] for one in found]) for part in found[0]}
                row = {"set": mark(name), "features": key, "between people": share["people"]}
                row["between states within people"] = share["states"]
                rows.append({**row, "rest": 1 - sum(share.values())})
    return rows


TABLES = {
    "scores": list_scores,
    "differences": list_differences,
    "means": list_means,
    "harder": list_harder,
    "conditions": list_conditions,
    "people": list_people,
    "variance": list_variance,
}


def tabulate(results):
    """Return all tables that are not empty: dict of str -> DataFrame."""
    made = {name: pd.DataFrame(make(results)) for name, make in TABLES.items()}
    return {name: table.fillna("-") for name, table in made.items() if len(table)}


def title_checkpoints(names, page=False):
    """Return the titles of checkpoints in tables; untrained ones are one.

    Parameters
    ----------
    names : sequence of str
        Checkpoints.
    page : bool
        Whether the first trained checkpoint is called "trained", and the second one "before".

    Returns
    -------
    titles : dict of str -> str
        With the classical features of people, in order.

    Raises
    ------
    ValueError
        If a page is to have more than two trained checkpoints.
    """
    trained = [name for name in names if not name.startswith(UNTRAINED)]
    if page and len(trained) > 2:
        raise ValueError("A page compares two trained checkpoints at most.")
    short = dict(zip(trained, ("trained", "before"), strict=False)) if page else {}
    titles = {name: short.get(name, name) for name in trained}
    titles |= {name: "untrained" for name in names if name not in trained}
    return {**titles, CLASSICAL: ""}
