"""Simulated recordings stay within a factor of three of real ones, as the documentation says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from brainof_toolbox.datasets import make_paired_recordings


def _levels(powers, freqs, at):
    """Mean of log powers over recordings and channels at some frequencies."""
    return np.array(
        [np.mean([np.log(p[:, np.abs(freqs - f).argmin()]) for p in powers]) for f in at]
    )


def test_eeg_spectra(data_dir):
    import mne

    real = []
    for path in sorted((data_dir / "eeg-mental-arithmetic").glob("*task-rest_eeg.edf"))[:6]:
        raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
        raw.pick([name for name in raw.ch_names if name[4:6] not in ("A2",) and "ECG" not in name])
        real.append(raw.get_data())
    made = make_paired_recordings(
        6, modalities=["eeg"], effect_size=0.0, blinks=False, line_freq=None, duration=60.0
    )
    simulated = [record["eeg"].get_data() for record in made.records]
    power = {}
    for name, recordings in (("real", real), ("simulated", simulated)):
        assert all(len(values) == 19 for values in recordings)
        centred = [values - values.mean(axis=0) for values in recordings]
        spectra = [welch(values, 128.0, nperseg=256) for values in centred]
        power[name] = _levels([p for _, p in spectra], spectra[0][0], (2, 4, 6, 10, 20, 25))
    assert np.abs(power["real"] - power["simulated"]).max() < np.log(3)


@pytest.mark.slow
def test_fmri_spectra_and_correlations(data_dir):
    from scipy.io import loadmat

    from brainof_toolbox import from_nifti

    atlas = data_dir / "atlas-mni" / "AAL2_MNI_2mm.nii.gz"
    files = sorted((data_dir / "fmri-hcp-rest").glob("*_bold.mat"))[:4]
    real = [loadmat(file)["tc"][:, :208] for file in files]
    made = make_paired_recordings(
        4, modalities=["fmri"], effect_size=0.0, duration=150.0, t_r=0.72, voxel_size=6
    )
    images = [from_nifti(record["fmri"], masker=str(atlas)) for record in made.records]
    simulated = [signals.data[0, :94].astype(float) for signals in images]
    power, alike = {}, {}
    for name, runs in (("real", real), ("simulated", simulated)):
        runs = [100 * (run / run.mean(axis=1, keepdims=True) - 1) for run in runs]
        spectra = [welch(run, 1 / 0.72, nperseg=128) for run in runs]
        power[name] = _levels([p for _, p in spectra], spectra[0][0], (0.02, 0.05, 0.1, 0.3, 0.6))
        of_run = [np.corrcoef(run) for run in runs]
        alike[name] = [
            np.mean([values[np.triu_indices(94, 1)].mean() for values in of_run]),
            np.mean(
                [values[np.arange(0, 94, 2), np.arange(1, 94, 2)].mean() for values in of_run]
            ),
        ]
    assert np.abs(power["real"] - power["simulated"]).max() < np.log(3)
    assert alike["simulated"] == pytest.approx(alike["real"], abs=0.2)
    assert alike["simulated"][1] > alike["simulated"][0] + 0.1  # mirror images
