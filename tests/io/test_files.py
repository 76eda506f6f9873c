"""Files -> MNE objects -> Signals: real recordings of many vendors, and broken ones."""

from __future__ import annotations

import re
import shutil
import warnings

import mne
import numpy as np
import pytest

from brainof_toolbox.io import from_epochs, from_raw, read_recording
from brainof_toolbox.preprocessing import Preprocessing, preprocess
from brainof_toolbox.signals import as_parts


def make_raw(n_times=2000, first_samp=0):
    names = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
    data = np.random.default_rng(0).standard_normal((6, n_times)) * 2e-5
    info = mne.create_info(names, 200.0, "eeg", verbose="error")
    return mne.io.RawArray(data, info, first_samp=first_samp, verbose="error")


def make_epochs():
    raw = make_raw()
    data = raw.get_data().reshape(6, 10, 200).transpose(1, 0, 2)
    return mne.EpochsArray(data, raw.info, tmin=-0.1, baseline=(None, 0), verbose="error")


def read_quietly(path, missing_positions="raise"):
    """The parts by modality, what was warned of, and the recording."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        recording = read_recording(path)
        adapt = from_raw if isinstance(recording, mne.io.BaseRaw) else from_epochs
        parts = as_parts(adapt(recording, missing_positions=missing_positions))
    return parts, " | ".join(str(entry.message) for entry in record), recording


# ----------------------------------------------------------------------------- written here
def test_raw_file(tmp_path):
    """Read lazily, equal to what was written."""
    raw = make_raw()
    raw.save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    parts, _, recording = read_quietly(tmp_path / "a_raw.fif")
    assert not recording.preload
    np.testing.assert_allclose(parts["eeg"].data[0], raw.get_data(), rtol=1e-6)


@pytest.mark.parametrize("name", ["a-epo.fif", "sub-01_epo.fif", "a-epo.fif.gz", "A_EPO.FIF"])
def test_epochs_file(tmp_path, name):
    epochs = make_epochs()
    path = tmp_path / name
    epochs.save(tmp_path / name.lower(), fmt="double", verbose="error")
    if name != name.lower():
        shutil.move(tmp_path / name.lower(), path)
    parts, _, recording = read_quietly(path)
    assert isinstance(recording, mne.BaseEpochs) and not recording.preload
    np.testing.assert_allclose(parts["eeg"].data, epochs.get_data(), rtol=1e-6)
    assert parts["eeg"].has_baseline


def test_averages_file(tmp_path):
    """Each average is one epoch, with the times and baseline it had."""
    evokeds = [make_epochs()[:5].average(), make_epochs()[5:].average()]
    mne.write_evokeds(tmp_path / "a-ave.fif", evokeds, verbose="error")
    parts, _, recording = read_quietly(tmp_path / "a-ave.fif")
    expected = np.stack([evoked.data for evoked in evokeds])
    np.testing.assert_allclose(parts["eeg"].data, expected, atol=1e-10)
    assert recording.tmin == pytest.approx(-0.1) and parts["eeg"].has_baseline


@pytest.mark.parametrize("path", ["missing_raw.fif", "no/such/folder/a.edf", "missing"])
def test_missing_file(tmp_path, path):
    """Path that does not exist: FileNotFoundError naming it."""
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / path))):
        read_recording(tmp_path / path)


@pytest.mark.parametrize("content", [b"", b"not a recording\n" * 50, bytes(4096)])
@pytest.mark.parametrize(
    "name",
    [
        "a_raw.fif",
        "a-epo.fif",
        "a-ave.fif",
        "a.edf",
        "a.bdf",
        "a.vhdr",
        "a.set",
        "a.sqd",
        "a.txt",
        "a",
    ],
)
def test_files_that_are_no_recording(tmp_path, name, content):
    """Nothing from the inside of a reader without the file's name."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"Cannot read {re.escape(str(path))}"):
        read_recording(path)


def test_folder_that_is_no_recording(tmp_path):
    with pytest.raises(ValueError, match=f"Cannot read {re.escape(str(tmp_path))}"):
        read_recording(tmp_path)


@pytest.mark.parametrize("name", ["a-cov.fif", "sub-01_trans.fif", "a-ica.fif.gz", "a-eve.fif"])
def test_derived_files(tmp_path, name):
    """MNE's own files that hold no signal are named for what they are."""
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=rf"{re.escape(name)} is no recording.*derived files"):
        read_recording(tmp_path / name)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("name", ["a_raw.fif", "a-epo.fif"])
def test_truncated_file(tmp_path, name, share):
    """Reading or adapting names the file, wherever it was cut."""
    if name.endswith("_raw.fif"):
        make_raw().save(tmp_path / name, verbose="error")
    else:
        make_epochs().save(tmp_path / name, verbose="error")
    content = (tmp_path / name).read_bytes()
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=re.escape(str(cut)) + ".*(truncated|damaged)"):
        read_quietly(cut)


# --------------------------------------------------------------------------- real recordings
# path: {modality: (n_channels, types)}, words warned of
FORMATS = {
    "eeg-formats/bdf/test.bdf": ({"eeg": (66, "eeg")}, ["'EXG1'", "'IEOG'", "placed by name"]),
    "eeg-formats/brainvision/test.vhdr": ({"eeg": (26, "eeg")}, ["'FP1'", "placed by name"]),
    "eeg-formats/eeglab/eeglab_data.set": ({"eeg": (30, "eeg")}, ["'EOG1', 'EOG2'"]),
    "eeg-formats/fif/erp-core_sub-015_task-P3_ave.fif": ({"eeg": (30, "eeg")}, []),
    "meg-formats/fif/neuromag306_10s_90Hz_raw.fif": ({"meg": (306, "grad mag")}, ["dev_head_t"]),
    "meg-formats/fif/neuromag122-raw.fif": ({"meg": (122, "grad")}, ["'MEG 006'", "dev_head_t"]),
    "meg-formats/fif/sample_audvis_1s_meg_eeg_raw_sss.fif": (
        {"eeg": (60, "eeg"), "meg": (306, "grad mag")},
        [],
    ),
    "meg-formats/kit/test.sqd": ({"meg": (157, "mag")}, ["dev_head_t"]),
    "meg-formats/bti/test_pdf_linux": ({"meg": (248, "mag")}, []),
    "eeg-mental-arithmetic/sub-00_task-rest_eeg.edf": ({"eeg": (19, "eeg")}, ["'A2-A1'", "'T3'"]),
    "eeg-motor-imagery/S001R03.edf": ({"eeg": (64, "eeg")}, ["'Fc5.'", "placed by name"]),
    "eeg-visual-object/sub-01_epo.fif.gz": ({"eeg": (61, "eeg")}, []),
}


@pytest.mark.parametrize("path", FORMATS)
def test_real_file(data_dir, path):
    """Channels, types, plausible volts and teslas, places on a head, and what is warned of."""
    parts, said, _ = read_quietly(data_dir / path)
    expected, words = FORMATS[path]
    assert {
        k: (p.shape[1], " ".join(sorted(set(p.ch_types)))) for k, p in parts.items()
    } == expected
    for word in words:
        assert word in said
    assert words or not said
    for part in parts.values():
        radius = np.linalg.norm(part.ch_pos, axis=1)
        assert 0.05 < radius.min() and radius.max() < 0.2
        length = np.linalg.norm(part.ch_ori, axis=1)
        np.testing.assert_allclose(length, float(part.modality == "meg"), atol=1e-3)
        n_times = min(part.shape[2], 2000)
        windows = preprocess(
            part.replace(data=part.data[:2, :, :n_times], **_first(part, n_times)), Preprocessing()
        )
        assert np.isfinite(windows.signals.data).all()
        assert 0.02 < windows.signals.data.std() < 20


def _first(part, n_times):
    people = {name: getattr(part, name)[:2] for name in ("subject", "session", "task", "run")}
    return {"good_segments": None, "onset": part.onset[:2], **people}


def test_real_spellings_agree(data_dir):
    """ "Fc5." of one file and "FP1" of another sit where the template puts FC5 and Fp1."""
    places = {}
    for path in (
        "eeg-motor-imagery/S001R03.edf",
        "eeg-formats/brainvision/test.vhdr",
        "eeg-mental-arithmetic/sub-00_task-rest_eeg.edf",
    ):
        part = read_quietly(data_dir / path)[0]["eeg"]
        places[path[:10]] = dict(zip(part.ch_names, part.ch_pos, strict=True))
    motor, vision, arithmetic = places.values()
    for a, b in (("Fc5.", "FC5"), ("Fp1.", "FP1"), ("P7..", "P7")):
        assert np.array_equal(motor[a], vision[b])
    for a, b in (("T7..", "T3"), ("T8..", "T4"), ("P7..", "T5"), ("P8..", "T6")):
        assert np.array_equal(motor[a], arithmetic[b])
    assert motor["Fp1."][1] > 0.05 > -0.02 > motor["Oz.."][1] and motor["C3.."][0] < -0.04


def test_neuromag_sensors_are_told_apart(data_dir):
    """No two of 306 (or 122) sensors share place and orientation; triplets share the place."""
    for name, at_one_place in (("neuromag306_10s_90Hz_raw", 3), ("neuromag122-raw", 2)):
        part = read_quietly(data_dir / f"meg-formats/fif/{name}.fif")[0]["meg"]
        both = np.round(np.hstack([part.ch_pos, part.ch_ori]), 4)
        assert len(np.unique(both, axis=0)) == part.shape[1]
        assert (
            len(np.unique(np.round(part.ch_pos, 3), axis=0)) < 1.2 * part.shape[1] / at_one_place
        )


def test_sensors_point_outwards(data_dir):
    """Coil normals of magnetometers and axial gradiometers leave the head, planar axes do not."""
    for path in (
        "meg-formats/bti/test_pdf_linux",
        "meg-formats/kit/test.sqd",
        "meg-formats/fif/sample_audvis_1s_meg_eeg_raw_sss.fif",
    ):
        part = read_quietly(data_dir / path)[0]["meg"]
        outwards = part.ch_pos - part.ch_pos.mean(axis=0)
        outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
        cosine = np.abs((outwards * part.ch_ori).sum(axis=1))
        is_mag = np.array(part.ch_types) == "mag"
        assert np.median(cosine[is_mag]) > 0.8
        assert is_mag.all() or np.median(cosine[~is_mag]) < 0.5


def test_transform_of_a_real_file(data_dir):
    """Sensors of the sample recording lie in the head frame, around the EEG cap."""
    parts, _, raw = read_quietly(data_dir / "meg-formats/fif/sample_audvis_1s_meg_eeg_raw_sss.fif")
    trans = raw.info["dev_head_t"]["trans"]
    picks = mne.pick_types(raw.info, meg=True)
    for row, pick in zip(parts["meg"].ch_pos[:20], picks[:20], strict=True):
        expected = trans @ np.append(raw.info["chs"][pick]["loc"][:3], 1.0)
        np.testing.assert_allclose(row, expected[:3], atol=1e-6)
    eeg, meg = (
        np.linalg.norm(parts[name].ch_pos - [0, 0, 0.04], axis=1) for name in ("eeg", "meg")
    )
    assert np.median(meg) > np.median(eeg)


def test_bti_names_with_dots(data_dir, tmp_path):
    """4D names its data "c,rfhp0.1Hz", which has no ending."""
    folder = data_dir / "meg-formats/bti"
    for old, new in (("pdf", "c,rfhp0.1Hz"), ("config", "config"), ("hs", "hs_file")):
        shutil.copyfile(folder / f"test_{old}_linux", tmp_path / new)
    assert read_recording(tmp_path / "c,rfhp0.1Hz").info["sfreq"] == pytest.approx(1017.25)


def test_truncated_real_file(data_dir, tmp_path):
    """A header cut short is an error; EDF data cut short are read as far as they go, said."""
    whole = data_dir / "eeg-mental-arithmetic/sub-00_task-rest_eeg.edf"
    content, cut = whole.read_bytes(), tmp_path / "half.edf"
    cut.write_bytes(content[:100])
    with pytest.raises(ValueError, match=r"half\.edf"):
        read_recording(cut)
    cut.write_bytes(content[: len(content) // 2])
    with pytest.warns(RuntimeWarning, match=r"half\.edf: Number of records .* not match"):
        data = from_raw(read_recording(cut)).data
    expected = read_quietly(whole)[0]["eeg"].data
    assert 0.4 < data.shape[2] / expected.shape[2] < 0.5
    assert np.array_equal(data, expected[:, :, : data.shape[2]])
    cut = tmp_path / "half.bdf"
    cut.write_bytes((data_dir / "eeg-formats/bdf/test.bdf").read_bytes()[:230_000])
    with (
        pytest.warns(RuntimeWarning, match=r"half\.bdf"),
        pytest.raises(ValueError, match=r"no time points.*half\.bdf"),
    ):
        from_raw(read_recording(cut))


def test_truncated_companion(data_dir, tmp_path):
    """The half that holds the values is the one that is named."""
    for name in ("eeglab_data.set", "eeglab_data.fdt"):
        content = (data_dir / "eeg-formats/eeglab" / name).read_bytes()
        end = len(content) if name.endswith("set") else len(content) // 2
        (tmp_path / name).write_bytes(content[:end])
    with pytest.raises(ValueError, match=r"eeglab_data\.fdt: truncated or damaged"):
        from_raw(read_recording(tmp_path / "eeglab_data.set"))
    (tmp_path / "eeglab_data.fdt").unlink()
    with pytest.raises(ValueError, match=r"eeglab_data\.set.*eeglab_data\.fdt"):
        from_raw(read_recording(tmp_path / "eeglab_data.set"))


def test_upper_case_ending(data_dir, tmp_path):
    shutil.copyfile(
        data_dir / "eeg-mental-arithmetic/sub-00_task-rest_eeg.edf", tmp_path / "SUB00.EDF"
    )
    assert read_quietly(tmp_path / "SUB00.EDF")[0]["eeg"].shape == (1, 19, 7936)


def test_helper_files_are_refused_by_name(data_dir):
    """What lies beside recordings is no recording."""
    for path in (
        "eeg-formats/eeglab/eeglab_data.fdt",
        "eeg-formats/brainvision/test.vmrk",
        "meg-formats/bti/test_config_linux",
        "meg-formats/kit/test_mrk.sqd",
        "meg-formats/fif/sample_audvis-cov.fif",
    ):
        with pytest.raises(ValueError, match=re.escape(path.split("/")[-1])):
            read_recording(data_dir / path)
