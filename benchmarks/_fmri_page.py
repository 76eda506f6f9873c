"""The page of fMRI, BIDS and paired modalities."""

from __future__ import annotations

import time

import pandas as pd
from _fmri import identification_table, score_haxby, score_rest, score_story
from _paired import (
    N_SAMPLES,
    N_SUBJECTS,
    combination_table,
    score_bids,
    score_combinations,
    score_missing,
)
from _tables import list_table

SEEDS = range(5)
PAGE = """fMRI, BIDS and paired modalities
================================

Made by::

    BRAINOF_DATA=/path/to/recordings python benchmarks/quality.py {arguments}

**No pretrained weights exist yet**: the network is the preset ``tiny`` with random weights, frozen
under a logistic regression ("probe, untrained") or trained on the training side of each split
alone ("full, from scratch"). Classical features stand beside it on the same samples and splits.

Object categories (fmri-haxby)
------------------------------

Eight categories, one subject, eight blocks in each of eight runs; one run left out. The runs are
laid out as a BIDS dataset and read by ``epochs_from_bids``: motion regressed out, voxels
standardised over the run, blocks cut by ``events.tsv`` with a haemodynamic shift. The default
shift is 5 s; the classical decoder shows that onsets of this copy fit better without one, so both
are listed. The decoder beside the network takes the mean of each voxel over the block. Intervals
are bootstrapped over runs.

{haxby}
Paired differences of the first decoder's score minus the second's over runs, with the two-sided
p-value of a sign-flip permutation.

{differences}
Identification
--------------

fmri-hcp-rest: of ten subjects, which second half of a run (600 volumes of 94 regions) belongs to
which first half. fmri-story-listening: six regions of 18 listeners to one story; a segment of 60 s
of one of them is looked for among the mean segments of the others. Share of right answers, both
ways of asking; features are centred over what is compared and correlated. The set does not give
the places of its six regions: they are approximate.

{identification}
A BIDS dataset with three datatypes
-----------------------------------

Simulated (``make_paired_recordings``, 16 subjects of 60 s, written with mne-bids), read by
``read_bids`` and decoded by ``cross_validate``: the column ``sex``, which carries an effect there.

{bids}
Several modalities together
---------------------------

Simulated samples (``make_paired_signals``, {n_samples} of each of {n_subjects} subjects), each
modality seeing its own noisy view of two states; balanced accuracy on left-out subjects, chance
0.5. All three modalities beat the best single one in **{won}** seeds (difference {low:+.3f} to
{high:+.3f}). What decides is the network's own reading of several modalities; the last rows are
classical features.

{combinations}
Modalities missing at random
----------------------------

The same samples, each lacking each modality with some probability (one always stays), in training
and test alike: mean over seeds 0 to 2 (lowest to highest).

{missing}"""


def _haxby_rows(options):
    rows, differences = [], []
    for resolution in ("25mm", "1slice"):
        for shift in (5.0, 0.0):
            found = score_haxby(resolution, shift, options.seed, options.max_epochs)
            for row in found.summary.itertuples():
                folds = found.folds.loc[found.folds["estimator"] == row.estimator, "score"]
                rows.append(
                    {
                        "images, shift": f"{resolution}, {shift:g} s",
                        "decoder": row.estimator,
                        "balanced accuracy": f"{row.mean:.3f}",
                        "95 % interval": "{:.2f} to {:.2f}".format(*row.interval),
                        "chance": f"{row.chance:.3f}",
                        "runs": " ".join(f"{score:.2f}" for score in folds),
                    }
                )
            for row in found.differences.itertuples():
                differences.append(
                    {
                        "images, shift": f"{resolution}, {shift:g} s",
                        "first": row.first,
                        "second": row.second,
                        "difference": f"{row.difference:+.3f}",
                        "p": f"{row.p_value:.3f}",
                    }
                )
            print(pd.DataFrame(rows).tail(3).to_string(), flush=True)
    return pd.DataFrame(rows), pd.DataFrame(differences)


def write_fmri_page(options):
    """Run everything and write the page."""
    start = time.perf_counter()
    haxby, differences = _haxby_rows(options)
    identification = pd.concat(
        [
            identification_table("fmri-hcp-rest", score_rest(SEEDS)),
            identification_table("fmri-story-listening", score_story(SEEDS)),
        ]
    )
    print(identification.to_string(), flush=True)
    scores = score_combinations(SEEDS)
    combinations, won, margin = combination_table(scores)
    page = PAGE.format(
        arguments=f"--pages fmri --max-epochs {options.max_epochs} --seed {options.seed}",
        haxby=list_table(haxby, "Balanced accuracy"),
        differences=list_table(differences, "Paired differences"),
        identification=list_table(identification, "Share found"),
        bids=list_table(score_bids(options.seed), "Balanced accuracy, subjects left out"),
        combinations=list_table(combinations, "Balanced accuracy"),
        missing=list_table(score_missing(range(3)), "Balanced accuracy"),
        n_samples=N_SAMPLES,
        n_subjects=N_SUBJECTS,
        won=won,
        low=margin.min(),
        high=margin.max(),
    )
    path = options.out / "quality_fmri.rst"
    path.write_text(page)
    print(f"wrote {path}: {time.perf_counter() - start:.0f} s")
