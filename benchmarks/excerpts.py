"""Cut the excerpts of real recordings that the tutorials use: ``python -m benchmarks.excerpts``.

Sources, licences and citations are in ``doc/data/README.rst``. Values have 8 or 16 bits. People in
the corpus of the bundled weights, and those kept aside for tests, are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mne
import numpy as np
import pandas as pd

from brainof_toolbox.io.channels import template_montage

from .lib.sets import data_dir
from .suite.people import read_splits

# Cz of the source has three to ten times the level of its neighbours.
_TEN_TWENTY = "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 C4 T8 P7 P3 Pz P4 P8 O1 O2".split()
_MORE = "FCz C1 C2 CPz PO7 PO8 POz Oz".split()
_MOTOR = [f"{row}{at}" for row in ("FC", "C", "CP") for at in "5 3 1 z 2 4 6".split()]
_FLAT = (4, 9, 11)  # parcels outside the field of view of some people


def cut_pictures(root, out):
    """Cut epochs of the visual task: 26 electrodes, 128 Hz, steps of 0.1 µV."""
    folder, parts = root / "eeg-visual-object", []
    left_out = read_splits().get(folder.name, {}).get("earlier", ())
    table = pd.read_csv(folder / "participants.tsv", sep="\t").set_index("participant_id")
    for path in sorted(folder.glob("*_epo.fif.gz")):
        name = path.name[:6]
        if name in left_out:
            continue
        epochs = mne.read_epochs(path, verbose="error").pick([*_TEN_TWENTY, *_MORE])
        epochs.resample(128, verbose="error")
        names = {code: condition for condition, code in epochs.event_id.items()}
        columns = {"subject": f"{folder.name}-{name[4:]}", "group": table["group"][name]}
        columns["picture"] = [names[code] for code in epochs.events[:, 2]]
        epochs.metadata = pd.DataFrame(columns)
        parts.append(epochs)
    epochs = mne.concatenate_epochs(parts, verbose="error")
    epochs.apply_function(lambda x: np.round(x * 1e7) * 1e-7, channel_wise=False)
    epochs.save(out / "pictures_epo.fif.gz", fmt="single", overwrite=True, verbose="error")


def cut_movements(root, out):
    """Cut runs of left and right fist: 27 electrodes, 80 Hz, 16 bits."""
    for path in sorted((root / "eeg-motor-imagery").glob("*.edf")):
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        mne.datasets.eegbci.standardize(raw)
        raw.set_montage(template_montage())
        raw.pick([*_MOTOR, "F3", "Fz", "F4", "P3", "Pz", "P4"]).resample(80, verbose="error")
        for channel in raw.info["chs"]:
            channel["cal"], channel["range"] = 1e-7, 1.0  # a step of 16 bits is 0.1 µV
        target = out / f"movements_run-{int(path.stem[-2:])}_raw.fif.gz"
        raw.save(target, fmt="short", overwrite=True, verbose="error")


def cut_pain(root, out):
    """Cut the series of regions during heat: 8 bits a value, with the events of each run."""
    folder = root / "fmri-connattractor-pain"
    people = read_splits()[folder.name]["development"]
    kept = _write_series(
        folder.glob("*.npz"), lambda key: key[:6] in people, out / "pain_timeseries.npz"
    )
    parcels = pd.read_csv(folder / "parcels.tsv", sep="\t")
    parcels[~parcels["parcel"].isin(_FLAT)].to_csv(out / "pain_parcels.tsv", sep="\t", index=False)
    events = pd.read_csv(folder / "events.tsv", sep="\t", dtype=str, keep_default_na=False)
    key = events["participant_id"] + "_run-" + events["run"]
    events[key.isin(kept)].to_csv(out / "pain_events.tsv", sep="\t", index=False)


def cut_rest(root, out):
    """Cut 150 volumes at rest of each person with age and sex, 8 bits a value."""
    folder = root / "fmri-rpn-rest"
    table = pd.read_csv(folder / "participants.tsv", sep="\t").dropna(subset=["age", "sex"])
    table = table[table["participant_id"].isin(read_splits()[folder.name]["development"])]
    people = set(table["participant_id"])
    _write_series(folder.glob("*.npz"), people.__contains__, out / "rest_timeseries.npz", 150)
    columns = ["participant_id", "site", "age", "sex", "mean_fd"]
    table[columns].to_csv(out / "rest_participants.tsv", sep="\t", index=False)
    parcels = pd.read_csv(folder / "parcels.tsv", sep="\t")
    parcels[~parcels["parcel"].isin(_FLAT)].to_csv(out / "rest_parcels.tsv", sep="\t", index=False)


def _write_series(paths, is_wanted, target, n_volumes=None):
    """Write regions x volumes of the wanted keys as int8, with a scale and a mean per region."""
    keep, stored, names = ~np.isin(np.arange(1, 123), _FLAT), {}, []
    for path in sorted(paths):
        with np.load(path) as file:
            for key in sorted(file):
                if key.endswith(("_scale", "_mean")) or not is_wanted(key):
                    continue
                x = (file[key] * file[f"{key}_scale"] + file[f"{key}_mean"])[keep, :n_volumes]
                mean = x.mean(axis=1, keepdims=True)
                scale = np.abs(x - mean).max(axis=1, keepdims=True) / 127
                stored[key] = np.round((x - mean) / np.maximum(scale, 1e-12)).astype(np.int8)
                stored |= {f"{key}_scale": np.float32(scale), f"{key}_mean": np.float32(mean)}
                names.append(key)
    np.savez_compressed(target, **stored)
    return names


def main():
    """Write all excerpts."""
    parser = argparse.ArgumentParser(description="Cut the excerpts of the tutorials.")
    parser.add_argument("--out", type=Path, default=Path("doc/data"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for cut in (cut_pictures, cut_movements, cut_pain, cut_rest):
        cut(data_dir(), out)


if __name__ == "__main__":
    main()
