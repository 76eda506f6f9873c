"""The tables of both pages of scores, from the results."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.lib.decoders import (
    CLASSICAL,
    LORA,
    NETWORK,
    PRETRAINED,
    PROBE,
    SCRATCH,
    TUNED,
    UNTRAINED,
)
from benchmarks.lib.paired import COMBINATIONS, MISSING
from benchmarks.lib.scoring import (
    QUARTER,
    SETS,
    weights_sha256,
)
from benchmarks.lib.sets import LOADERS
from benchmarks.lib.side_tables import CHOICES, CHOSEN, FORMATS
from benchmarks.lib.store import Store
from benchmarks.lib.summary import Summary
from benchmarks.lib.tables import write_csv

MEEG = (*LOADERS, "simulated-eeg", "simulated-meg")
HAXBY = tuple(name for name in SETS if name.startswith("fmri-haxby"))
FMRI = (*HAXBY, "simulated-fmri", "simulated-all", "simulated-bids")
RECOGNISED = ("fmri-hcp-rest", "fmri-story-listening")
NOT_RUN = "--"
PAIRS = ((PROBE, UNTRAINED), (TUNED, SCRATCH), (LORA, TUNED))


def write_tables(options):
    """Write the tables of both pages; what was not computed is left out."""
    rows = current_rows(options)
    cut = [name for name in SETS if SETS[name].is_cut]
    meeg, fmri = options.out / "quality.rst", options.out / "quality_fmri.rst"
    made = {
        (meeg, "weights"): weights(),
        (meeg, "overview"): overview(rows, MEEG),
        (meeg, "sets"): about(rows, MEEG),
        (meeg, "scores"): scores(rows, MEEG),
        (meeg, "differences"): differences(rows, MEEG),
        (meeg, "quarter"): quarter_scores(rows, cut),
        (meeg, "quarter_differences"): differences(rows, cut, QUARTER),
        (meeg, "formats"): formats(rows),
        (meeg, "choices"): choices(rows),
        (fmri, "overview"): overview(rows, FMRI),
        (fmri, "sets"): about(rows, FMRI),
        (fmri, "scores"): scores(rows, FMRI),
        (fmri, "differences"): differences(rows, FMRI),
        (fmri, "identification"): recognised(rows),
        (fmri, "identification_differences"): differences(rows, RECOGNISED),
        (fmri, "together"): together(rows),
        (fmri, "missing"): missing(rows),
    }
    for (page, name), table in made.items():
        if len(table):
            print(f"wrote {write_csv(table, page, name)}")


def weights():
    """Return which pretrained weights the scores are of."""
    return pd.DataFrame([{"weights": PRETRAINED, "sha256": weights_sha256()}])


def current_rows(options):
    """Return rows of the bundled weights, and of what needs none."""
    sha256 = weights_sha256()
    return [
        row
        for row in Store(options.results).rows.values()
        if row["weights"] in ("", sha256) and row["epochs"] in (None, options.max_epochs)
    ]


def summarise(rows, name, fraction=1.0):
    """Summarise a set at one share of the labels; return None if nothing was computed."""
    own = [row for row in rows if (row["set"], row["fraction"]) == (name, fraction)]
    return Summary(own, SETS[name].n_data > 0) if own else None


def found_sets(rows, names, fraction=1.0):
    """Return names and summaries of the sets that have results."""
    found = {name: summarise(rows, name, fraction) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def overview(rows, names):
    """Return means only: decoders by sets."""
    found = found_sets(rows, names)
    decoders = dict.fromkeys(decoder for name in found for decoder in SETS[name].decoders)
    table = [
        {
            "decoder": decoder,
            **{
                name: f"{one.score(decoder):.3f}" if decoder in one else NOT_RUN
                for name, one in found.items()
            },
        }
        for decoder in decoders
    ]
    table.append({"decoder": "chance", **{n: f"{one.chance():.3f}" for n, one in found.items()}})
    return pd.DataFrame(table)


def about(rows, names):
    """Return one row per set: task, samples, chance, units."""
    table = []
    for name, one in found_sets(rows, names).items():
        task, n_samples, n_tested, unit = one.about()
        table.append(
            {
                "set": name,
                "task": task,
                "samples": n_samples,
                "tested": n_tested,
                "chance": f"{one.chance():.3f}",
                "unit": unit,
                "data sets": SETS[name].n_data or 1,
            }
        )
    return pd.DataFrame(table)


def scores(rows, names):
    """Return one row per set and decoder: score, interval, folds."""
    return pd.DataFrame(
        [
            {
                "set": name,
                "decoder": decoder,
                "balanced accuracy": f"{one.score(decoder):.3f}",
                "95 % interval": "{:.2f} to {:.2f}".format(*one.interval(decoder)),
                "folds": " ".join(f"{score:.2f}" for score in one.folds(decoder)),
            }
            for name, one in found_sets(rows, names).items()
            for decoder in SETS[name].decoders
            if decoder in one
        ]
    )


def differences(rows, names, fraction=1.0):
    """Return paired differences: pretraining, and the best classical decoder."""
    table = []
    for name, one in found_sets(rows, names, fraction).items():
        others = [decoder for decoder in SETS[name].decoders if decoder not in NETWORK]
        # The convolutional networks are no classical decoders; they have their rows above.
        classical = {decoder for kind in CLASSICAL.values() for decoder in kind}
        if SETS[name].identify is None:
            others = [decoder for decoder in others if decoder in classical]
        best = one.best(others)
        pairs = [*PAIRS, *((mine, best) for mine in (PROBE, TUNED) if best)]
        for first, second in pairs:
            if first in one and second in one:
                value, p_value, n_units = one.difference(first, second)
                unit = one.about()[3]
                table.append(
                    {
                        "set": name,
                        "first": first,
                        "second": f"{second} (best)" if second == best else second,
                        "difference": f"{value:+.3f}",
                        "p": f"{p_value:.3f}",
                        "units": f"{n_units} {unit}s",
                    }
                )
    return pd.DataFrame(table)


def quarter_scores(rows, names):
    """Return scores with a quarter of the training labels, beside those with all."""
    table = []
    for name, one in found_sets(rows, names, QUARTER).items():
        whole = summarise(rows, name)
        table += [
            {
                "set": name,
                "decoder": decoder,
                "a quarter": f"{one.score(decoder):.3f}",
                "95 % interval": "{:.2f} to {:.2f}".format(*one.interval(decoder)),
                "draws": " ".join(f"{row['score']:.2f}" for row in one.rows[decoder]),
                "all labels": f"{whole.score(decoder):.3f}" if decoder in whole else NOT_RUN,
            }
            for decoder in SETS[name].decoders
            if decoder in one
        ]
    return pd.DataFrame(table)


def formats(rows):
    """Return the result of reading each file."""
    files = next((row["files"] for row in rows if row["set"] == FORMATS), {})
    table = [{"file": name, "result": result} for name, result in files.items()]
    return pd.DataFrame(table, columns=["file", "result"])


def choices(rows):
    """Return scores of choices by set."""
    scores = {row["decoder"]: row["score"] for row in rows if row["set"] == CHOSEN}
    table = [
        {
            "choice": choice,
            **{
                name: f"{scores[f'{name}: {choice}']:.3f}"
                for name in LOADERS
                if f"{name}: {choice}" in scores
            },
        }
        for choice in CHOICES
    ]
    return pd.DataFrame(table).fillna(NOT_RUN)


def recognised(rows):
    """Return the shares identified."""
    table = []
    for name, one in found_sets(rows, RECOGNISED).items():
        for decoder in SETS[name].decoders:
            if decoder in one:
                table.append(
                    {
                        "set": name,
                        "features": decoder.replace("probe", "embedding"),
                        "share found": f"{one.score(decoder):.3f}",
                        "95 % interval": "{:.2f} to {:.2f}".format(*one.interval(decoder)),
                        "chance": f"{one.chance():.3f}",
                    }
                )
    return pd.DataFrame(table)


def together(rows):
    """Return scores of each combination of modalities, and the gain of all over the best one."""
    table, by_names = [], {}
    for names in COMBINATIONS:
        name = f"together-{'+'.join(names)}"
        one = summarise(rows, name)
        for decoder in SETS[name].decoders if one else ():
            by_seed = [row["score"] for row in one.rows.get(decoder, ())]
            if not by_seed:
                continue
            by_names[names, decoder] = np.array(by_seed)
            table.append(
                {
                    "modalities": " + ".join(names),
                    "decoder": decoder,
                    **{f"seed {i}": f"{score:.3f}" for i, score in enumerate(by_seed)},
                    "mean": f"{np.mean(by_seed):.3f}",
                }
            )
    singles = [by_names.get((names, PROBE)) for names in COMBINATIONS if len(names) == 1]
    everything = by_names.get((COMBINATIONS[-1], PROBE))
    if everything is not None and all(one is not None for one in singles):
        margin = everything - np.max(singles, axis=0)
        table.append(
            {
                "modalities": "all, minus the best single one",
                "decoder": PROBE,
                **{f"seed {i}": f"{value:+.3f}" for i, value in enumerate(margin)},
                "mean": f"{margin.mean():+.3f}",
            }
        )
    return pd.DataFrame(table)


def missing(rows):
    """Return scores when each sample lacks each modality with some probability."""
    table = []
    for name, share in [("together-fmri+eeg+meg", 0), *((f"missing-{m:g}", m) for m in MISSING)]:
        one = summarise(rows, name)
        for decoder in (PROBE, "all classical") if one else ():
            if decoder in one:
                values = [row["score"] for row in one.rows[decoder]]
                table.append(
                    {
                        "probability of lacking a modality": f"{share:g}",
                        "decoder": decoder,
                        "balanced accuracy": f"{np.mean(values):.3f}",
                        "lowest to highest": f"{min(values):.3f} to {max(values):.3f}",
                    }
                )
    return pd.DataFrame(table)
