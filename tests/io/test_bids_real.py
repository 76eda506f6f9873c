"""BIDS datasets of real recordings: nothing is lost on the way, blocks are where they were."""

from __future__ import annotations

import shutil

import bids
import mne
import mne_bids
import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from brainof_toolbox import epochs_from_bids, from_raw, read_bids
from brainof_toolbox.io.bids_recordings import read_bids_recording

FILES = {
    "eeg": ("eeg-formats/eeglab/eeglab_data.set", 30),
    "meg": ("meg-formats/fif/sample_audvis_1s_meg_eeg_raw_sss.fif", 306),
}


@pytest.mark.parametrize("kind", ["eeg", "meg"])
@pytest.mark.filterwarnings("ignore")
def test_sensors_and_values_survive(data_dir, tmp_path, kind):
    name, n_channels = FILES[kind]
    raw = mne.io.read_raw(data_dir / name, verbose="error")
    path = mne_bids.BIDSPath(root=tmp_path, subject="01", task="x", datatype=kind)
    mne_bids.write_raw_bids(raw, path, verbose="error")
    (record,) = read_bids(tmp_path)
    before, after = from_raw(raw), from_raw(read_bids_recording(record[kind]))
    if kind == "meg":
        before, after = before.by_modality["meg"], after.by_modality["meg"]
    assert after.ch_names == before.ch_names and len(after.ch_names) == n_channels
    np.testing.assert_allclose(after.ch_pos, before.ch_pos, atol=1e-3)
    np.testing.assert_allclose(after.ch_ori, before.ch_ori, atol=1e-3)
    np.testing.assert_allclose(after.data, before.data, rtol=1e-5)


def haxby_patterns(root, mask, shift):
    from nilearn.maskers import NiftiMasker

    trials = epochs_from_bids(root, masker=NiftiMasker(mask), shift=shift)
    patterns = np.array([trial.data[0].mean(axis=1) for trial in trials])
    return patterns, trials.metadata["trial_type"], trials.groups


@pytest.mark.filterwarnings("ignore")
def test_blocks_of_real_runs_are_cut_where_they_are(data_dir, tmp_path):
    """Eight categories, one run left out. In this copy the delay is in the onsets already."""
    import nibabel as nib

    root = bids.describe(tmp_path / "haxby")
    folder = root / "sub-1" / "func"
    folder.mkdir(parents=True)
    for run in range(1, 9):
        source = data_dir / "fmri-haxby" / "sub-1" / f"sub-1_run-{run:02d}"
        name = f"sub-1_task-objects_run-{run:02d}"
        shutil.copy(f"{source}_res-1slice_bold.nii.gz", folder / f"{name}_bold.nii.gz")
        shutil.copy(f"{source}_events.tsv", folder / f"{name}_events.tsv")
    image = nib.load(folder / f"{name}_bold.nii.gz")
    mean = image.get_fdata().mean(axis=3)
    mask = nib.Nifti1Image((mean > 0.3 * mean.max()).astype(np.int8), image.affine)
    scores = {}
    for shift in (0.0, 10.0):
        X, y, groups = haxby_patterns(root, mask, shift)
        assert X.shape[0] == 64 and set(groups) == {f"{run:02d}" for run in range(1, 9)}
        decoder = make_pipeline(SelectKBest(k=100), LogisticRegression(max_iter=1000))
        scores[shift] = cross_val_score(decoder, X, y, groups=groups, cv=LeaveOneGroupOut()).mean()
    assert scores[0.0] > 0.8 and scores[10.0] < scores[0.0] - 0.2
