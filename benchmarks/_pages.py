"""The pages of scores, from the results."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _decoders import CLASSICAL, LORA, NETWORK, PROBE, SCRATCH, TUNED, UNTRAINED
from _page_texts import FMRI_PAGE, MEEG_PAGE
from _paired import COMBINATIONS, LARGE, MISSING
from _sets import LOADERS
from _side_tables import CHOICES, CHOSEN, FORMATS
from _store import Store
from _summary import Summary
from _tables import list_table
from _work import N_QUARTERS, N_QUARTERS_FULL, N_UNTRAINED, QUARTER, SETS, weights_sha256

MEEG = (*LOADERS, "simulated-eeg", "simulated-meg")
HAXBY = tuple(name for name in SETS if name.startswith("fmri-haxby"))
FMRI = (*HAXBY, "simulated-fmri", "simulated-all", "simulated-bids")
RECOGNISED = ("fmri-hcp-rest", "fmri-story-listening")
NOT_RUN = "--"
PAIRS = ((PROBE, UNTRAINED), (TUNED, SCRATCH), (LORA, TUNED))


def write_pages(options):
    """Write both pages; what was not computed is left out."""
    rows = current_rows(options)
    arguments = f"--jobs 2 --max-epochs {options.max_epochs}"
    shared = {
        "arguments": arguments,
        "sha256": weights_sha256(),
        "max_epochs": options.max_epochs,
        "n_untrained": N_UNTRAINED,
    }
    cut = [name for name in SETS if SETS[name].is_cut]
    pages = {
        "quality.rst": MEEG_PAGE.format(
            overview=overview(rows, MEEG),
            sets=sections(rows, MEEG),
            differences=differences(rows, MEEG),
            quarter=quarter_scores(rows, cut),
            quarter_differences=differences(rows, cut, QUARTER),
            n_quarters=N_QUARTERS,
            n_quarters_full=N_QUARTERS_FULL,
            formats=formats(rows),
            choices=choices(rows),
            **shared,
        ),
        "quality_fmri.rst": FMRI_PAGE.format(
            overview=overview(rows, FMRI),
            sets=sections(rows, FMRI),
            differences=differences(rows, FMRI),
            identification=recognised(rows),
            identification_differences=differences(rows, RECOGNISED),
            n_samples=LARGE[0],
            n_subjects=LARGE[1],
            **together(rows),
            missing=missing(rows),
            tuned=TUNED,
            scratch=SCRATCH,
            **shared,
        ),
    }
    for name, page in pages.items():
        (options.out / name).write_text(page)
        print(f"wrote {options.out / name}")


def current_rows(options):
    """Rows of the bundled weights, and of what needs none."""
    sha256 = weights_sha256()
    return [
        row
        for row in Store(options.results).rows.values()
        if row["weights"] in ("", sha256) and row["epochs"] in (None, options.max_epochs)
    ]


def summarise(rows, name, fraction=1.0):
    """One set, at one share of the labels; None where nothing was computed."""
    own = [row for row in rows if (row["set"], row["fraction"]) == (name, fraction)]
    return Summary(own, SETS[name].n_data > 0) if own else None


def found_sets(rows, names, fraction=1.0):
    """Names and summaries of the sets that have results."""
    found = {name: summarise(rows, name, fraction) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def overview(rows, names):
    """Means only: decoders by sets."""
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
    return list_table(pd.DataFrame(table), "Balanced accuracy, means")


def sections(rows, names):
    """One table for each set."""
    return "\n".join(_section(name, one) for name, one in found_sets(rows, names).items())


def _section(name, one):
    task, n_samples, n_tested, unit = one.about()
    table = [
        {
            "decoder": decoder,
            "balanced accuracy": f"{one.score(decoder):.3f}",
            "95 % interval": "{:.2f} to {:.2f}".format(*one.interval(decoder)),
            "folds": " ".join(f"{score:.2f}" for score in one.folds(decoder)),
        }
        for decoder in SETS[name].decoders
        if decoder in one
    ]
    n_data = SETS[name].n_data
    about = (
        f"{task[0].upper()}{task[1:]}: {n_samples} samples, {n_tested} of them tested, "
        f"chance {one.chance():.3f}; units are {unit}s"
        + (f"; {n_data} data sets, their folds one after the other." if n_data else ".")
    )
    title = f"{name}\n{'~' * len(name)}"
    return f"{title}\n\n{about}\n\n{list_table(pd.DataFrame(table), 'Balanced accuracy')}"


def differences(rows, names, fraction=1.0):
    """What pretraining changes, and how far the best classical decoder is."""
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
    return list_table(pd.DataFrame(table), "Paired differences") if table else ""


def quarter_scores(rows, names):
    """Scores with a quarter of the training labels, beside those with all."""
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
    return list_table(pd.DataFrame(table), "Balanced accuracy") if table else ""


def formats(rows):
    """What became of each file."""
    files = next((row["files"] for row in rows if row["set"] == FORMATS), {})
    table = [{"file": name, "result": result} for name, result in files.items()]
    return list_table(pd.DataFrame(table, columns=["file", "result"]), "Files")


def choices(rows):
    """Scores of choices by set."""
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
    return list_table(pd.DataFrame(table).fillna(NOT_RUN), "Untrained features")


def recognised(rows):
    """Shares found."""
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
    return list_table(pd.DataFrame(table), "Share found") if table else ""


def together(rows):
    """Scores of each combination of modalities, and how often all of them win."""
    table, scores = [], {}
    for names in COMBINATIONS:
        name = f"together-{'+'.join(names)}"
        one = summarise(rows, name)
        for decoder in SETS[name].decoders if one else ():
            by_seed = [row["score"] for row in one.rows.get(decoder, ())]
            if not by_seed:
                continue
            scores[names, decoder] = np.array(by_seed)
            table.append(
                {
                    "modalities": " + ".join(names),
                    "decoder": decoder,
                    **{f"seed {i}": f"{score:.3f}" for i, score in enumerate(by_seed)},
                    "mean": f"{np.mean(by_seed):.3f}",
                }
            )
    singles = [scores.get((names, PROBE)) for names in COMBINATIONS if len(names) == 1]
    everything = scores.get((COMBINATIONS[-1], PROBE))
    won, low, high = "-", np.nan, np.nan
    if everything is not None and all(one is not None for one in singles):
        margin = everything - np.max(singles, axis=0)
        won, low, high = f"{(margin > 0).sum()} of {len(margin)}", margin.min(), margin.max()
    combinations = list_table(pd.DataFrame(table), "Balanced accuracy") if table else ""
    return {"combinations": combinations, "won": won, "low": low, "high": high}


def missing(rows):
    """Scores when each sample lacks each modality with some probability."""
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
    return list_table(pd.DataFrame(table), "Balanced accuracy") if table else ""
