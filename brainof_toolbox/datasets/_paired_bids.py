"""Write simulated paired recordings as a BIDS dataset."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

_README = """Simulated simultaneous EEG, MEG and fMRI
========================================

Made by brainof_toolbox.datasets.make_paired_recordings. No person was recorded.

Sources, effects and noise are described in the function's documentation, together with what is
realistic and what is not. Images are in MNI space. {effect}
"""
_EFFECTS = {
    "group": "The columns sex and age of participants.tsv have a simulated effect.",
    "state": "Blocks of the trial types rest and task differ; sex and age have no effect.",
}
_COLUMNS = {
    "sex": {
        "Description": "Simulated; the label of the group design",
        "Levels": {"F": "female", "M": "male"},
    },
    "age": {"Description": "Simulated", "Units": "year"},
}
#: Date of the simulated recordings, constant so that files do not differ.
_DATE = datetime(2020, 1, 1, 12, tzinfo=UTC)


def write_dataset(root, records, participants, events, options):
    """Write records as BrainVision, FIF and NIfTI with their sidecars."""
    import mne_bids

    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(
            f"write_bids: {str(root)!r} is not an empty folder. Choose another one, or empty it."
        )
    root.mkdir(parents=True, exist_ok=True)
    for record in records:
        # A single run has no number.
        run = record["run"] if options["n_runs"] > 1 else None
        for name in ("eeg", "meg"):
            if name in record:
                _write_raw(root, record, run, name, options["line_freq"])
        if "fmri" in record:
            of_run = (events["subject"] == record["subject"]) & (events["run"] == record["run"])
            _write_bold(root, record, run, events[of_run])
    mne_bids.make_dataset_description(
        path=root,
        name="Simulated simultaneous EEG, MEG and fMRI",
        authors=["brainof_toolbox developers"],
        overwrite=True,
        verbose="error",
    )
    (root / "README").write_text(
        _README.format(effect=_EFFECTS[options["label"]]), encoding="utf-8"
    )
    participants.to_csv(root / "participants.tsv", sep="\t", index=False, lineterminator="\n")
    _write_json(root / "participants.json", _COLUMNS)
    return root


def _write_raw(root, record, run, name, line_freq):
    import mne
    import mne_bids

    raw = record[name].copy()
    raw.set_meas_date(_DATE)
    raw.info["line_freq"] = line_freq
    if name == "eeg":  # potentials of a simulated head are relative to its mean
        raw.info["description"] = "simulated"
    path = mne_bids.BIDSPath(
        subject=record["subject"], task=record["task"], run=run, datatype=name, root=root
    )
    with mne.utils.use_log_level("error"):
        mne_bids.write_raw_bids(
            raw,
            path,
            format="BrainVision" if name == "eeg" else "FIF",
            allow_preload=True,
            overwrite=True,
            verbose="error",
        )


def _write_bold(root, record, run, events):
    import nibabel as nib

    folder = root / f"sub-{record['subject']}" / "func"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sub-{record['subject']}_task-{record['task']}" + (f"_run-{run}" if run else "")
    nib.save(record["fmri"], folder / f"{stem}_bold.nii.gz")
    sidecar = {
        "TaskName": record["task"],
        "RepetitionTime": float(record["t_r"]),
        "SliceTiming": [0.0] * record["fmri"].shape[2],  # a volume is an instant here
        "Instructions": "none: simulated",
    }
    _write_json(folder / f"{stem}_bold.json", sidecar)
    if len(events):
        table = events[["onset", "duration", "trial_type"]].copy()
        table[["onset", "duration"]] = np.round(table[["onset", "duration"]].astype(float), 4)
        table.to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False, lineterminator="\n")


def _write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
