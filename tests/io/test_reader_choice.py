"""The reader and its options fit what a file holds, whatever it is called; reasons are named."""

from __future__ import annotations

import gzip
import re
import shutil
import warnings

import bids
import mne
import numpy as np
import pandas as pd
import pytest
from plus_files import write_edf, write_set

from brainof_toolbox import BrainOFEmbedder, read_bids, read_recording
from brainof_toolbox.cli import main
from brainof_toolbox.datasets import make_epochs, make_raw
from brainof_toolbox.io import from_epochs, from_raw
from brainof_toolbox.io.bids_recordings import read_bids_recording

UMLAUT = "Augen öffnen"


@pytest.fixture(scope="module")
def raw():
    return make_raw(n_channels=8, duration=6.0, sfreq=100.0)


@pytest.fixture(scope="module")
def epochs():
    return make_epochs(n_channels=8, n_epochs=4, duration=1.0, sfreq=100.0)


@pytest.fixture(scope="module")
def shielded(tmp_path_factory):
    """The path of MEG recorded with active shielding."""
    raw = make_raw("meg", n_channels=12, duration=6.0, sfreq=200.0)
    with raw.info._unlock():
        raw.info["maxshield"] = True
    path = tmp_path_factory.mktemp("shielded") / "a_raw.fif"
    raw.save(path, verbose="error")
    return path


def quiet(path, **options):
    """Read a recording; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_recording(path, **options)


def write(raw, path, text, **options):
    data, names = raw.get_data(), raw.ch_names
    return write_edf(path, data, names, annotations=[text] * 6 if text else (), **options)


# --------------------------------------------------------------------------- text of annotations


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_annotations_in_latin1(raw, tmp_path, ending):
    """The guess is stated, or the encoding given; the signals are those of plain text."""
    text = UMLAUT.encode("latin-1")
    path = write(raw, tmp_path / f"a.{ending}", text, bdf=ending == "bdf")
    with pytest.warns(RuntimeWarning, match=rf"a\.{ending}: .*not UTF-8.* Latin-1.*guess"):
        guessed = read_recording(path)
    given = quiet(path, encoding="latin1")
    for found in (guessed, given):
        assert set(found.annotations.description) == {UMLAUT}
        np.testing.assert_allclose(found.get_data(), raw.get_data(), atol=2e-8)


@pytest.mark.parametrize("text, encoding", [(UMLAUT.encode(), None), (b"open", None), (b"", None)])
def test_annotations_in_utf8(raw, tmp_path, text, encoding):
    """Nothing is said about plain files."""
    path = write(raw, tmp_path / "a.edf", text)
    descriptions = set(quiet(path, encoding=encoding).annotations.description)
    assert descriptions == ({text.decode()} if text else set())


def test_other_encodings(raw, tmp_path):
    """Any encoding that Python has; a wrong one is named with what to do, no damage is claimed."""
    path = write(raw, tmp_path / "a.edf", "Глаза".encode("cp1251"))
    assert set(quiet(path, encoding="cp1251").annotations.description) == {"Глаза"}
    with pytest.raises(ValueError, match=r"a\.edf.*encoding='latin1'.*--encoding") as caught:
        read_recording(path, encoding="ascii")
    assert "damaged" not in str(caught.value)
    with pytest.raises(ValueError, match="'encoding' must be the name .* 'latin99'"):
        read_recording(path, encoding="latin99")


def test_eeglab_text(tmp_path):
    path = write_set(tmp_path / "a.set", text="ä", codec="latin-1")
    assert list(quiet(path, encoding="latin1").annotations.description) == ["ä"]
    with pytest.warns(RuntimeWarning, match=r"a\.set: Letters in the names .* not be decoded"):
        read_recording(path)
    assert list(quiet(write_set(tmp_path / "b.set", text="ä")).annotations.description) == ["ä"]


def test_bids_annotations_in_latin1(raw, tmp_path):
    root = bids.describe(tmp_path / "set")
    folder = root / "sub-01/eeg"
    folder.mkdir(parents=True)
    write(raw, folder / "sub-01_task-a_eeg.edf", UMLAUT.encode("latin-1"))
    (record,) = read_bids(root)
    with pytest.warns(RuntimeWarning) as said:
        found = read_bids_recording(record["eeg"])
    assert any("Latin-1, which is a guess" in str(entry.message) for entry in said)
    np.testing.assert_allclose(found.get_data(), raw.get_data(), atol=2e-8)


# ------------------------------------------------------------------------------- what FIF holds


@pytest.mark.parametrize(
    "name", ["clean_epochs.fif", "a_raw.fif", "a-ave.fif", "a-cov.fif", "a.dat"]
)
def test_epochs_of_any_name(epochs, tmp_path, name):
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    path = shutil.move(tmp_path / "x-epo.fif", tmp_path / name)
    found = quiet(path)
    assert isinstance(found, mne.BaseEpochs) and not found.preload
    np.testing.assert_allclose(found.get_data(), epochs.get_data(), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", ["x-epo.fif", "x-ave.fif", "x-cov.fif", "x.fif", "x.edf"])
def test_raw_of_any_name(raw, tmp_path, name):
    raw.save(tmp_path / "y_raw.fif", verbose="error")
    found = quiet(shutil.move(tmp_path / "y_raw.fif", tmp_path / name))
    assert isinstance(found, mne.io.BaseRaw) and len(found.times) == len(raw.times)


@pytest.mark.parametrize("name", ["evoked.fif", "x-epo.fif", "x_raw.fif"])
def test_averages_of_any_name(epochs, tmp_path, name):
    epochs.average().save(tmp_path / "y-ave.fif", verbose="error")
    found = quiet(shutil.move(tmp_path / "y-ave.fif", tmp_path / name))
    np.testing.assert_allclose(found.get_data()[0], epochs.average().data, atol=1e-10)


def _write_others(raw, epochs, folder):
    """Files that hold no recording: name -> what they hold."""
    mne.compute_covariance(epochs, verbose="error").save(folder / "a-cov.fif")
    mne.write_events(folder / "a-eve.fif", epochs.events)
    mne.write_proj(folder / "a-proj.fif", mne.compute_proj_epochs(epochs, n_eeg=1, verbose=False))
    mne.io.write_info(folder / "a-info.fif", raw.info)
    mne.transforms.Transform("head", "mri").save(folder / "a-trans.fif")
    mne.preprocessing.ICA(2, max_iter=2, random_state=0, verbose="error").fit(raw).save(
        folder / "a-ica.fif"
    )
    sphere = (0, 0, 0.04, 0.08)
    space = mne.setup_volume_source_space(pos=40.0, sphere=sphere, verbose="error")
    space.save(folder / "a-src.fif")
    model = mne.make_sphere_model((0, 0, 0.04), 0.09, verbose="error")
    options = {"eeg": True, "meg": False, "verbose": "error"}
    forward = mne.make_forward_solution(raw.info, None, space, model, **options)
    mne.write_forward_solution(folder / "a-fwd.fif", forward, verbose="error")


def test_other_contents_of_fif_are_named(raw, epochs, tmp_path):
    """Under a neutral name and under that of a recording, what is there decides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write_others(raw, epochs, tmp_path)
    holds = {
        **{"cov": "a covariance matrix", "eve": "events", "proj": "projections"},
        **{"info": "channel information without data", "ica": "an ICA decomposition"},
        **{"trans": "a coordinate transformation", "src": "source spaces"},
        "fwd": "a forward solution",
    }
    for kind, words in holds.items():
        for name in (f"{kind}_raw.fif", f"{kind}.fif"):
            path = shutil.copy(tmp_path / f"a-{kind}.fif", tmp_path / name)
            with pytest.raises(ValueError, match=f"{name} is no recording: it holds {words}"):
                read_recording(path)


def test_epochs_in_a_bids_dataset_are_named(epochs, tmp_path):
    root = bids.describe(tmp_path / "set")
    path = root / "sub-01/meg/sub-01_task-a_meg.fif"
    path.parent.mkdir(parents=True)
    epochs.save(tmp_path / "x-epo.fif", verbose="error")
    shutil.move(tmp_path / "x-epo.fif", path)
    (record,) = read_bids(root)
    with pytest.raises(ValueError, match=r"task-a_meg\.fif .*: it holds epochs"):
        read_bids_recording(record["meg"])


def test_eeglab_epochs(tmp_path):
    found = quiet(write_set(tmp_path / "a.set", n_trials=3))
    assert isinstance(found, mne.BaseEpochs) and len(found) == 3
    assert isinstance(quiet(write_set(tmp_path / "b.set")), mne.io.BaseRaw)


# ----------------------------------------------------------------------------- active shielding


def test_active_shielding_is_an_error_that_can_be_followed(shielded):
    """MNE's reason, and the two ways to read it all the same."""
    words = r"MaxShield.*allow_maxshield=True\).*--allow-maxshield.*Elekta recommends"
    with pytest.raises(ValueError, match=words) as caught:
        BrainOFEmbedder(checkpoint=None, pooling="mean").fit([shielded])
    assert "damaged" not in str(caught.value) and str(shielded) in str(caught.value)


def test_active_shielding_is_read_on_request(shielded):
    with pytest.warns(RuntimeWarning, match=r"a_raw\.fif: .*Active Shielding"):
        found = read_recording(shielded, allow_maxshield=True)
    assert found.info["maxshield"]
    quiet(shielded, allow_maxshield="yes")


def test_averages_with_active_shielding(epochs, tmp_path):
    average = epochs.average()
    with average.info._unlock():
        average.info["maxshield"] = True
    average.save(tmp_path / "a-ave.fif", verbose="error")
    with pytest.raises(ValueError, match="--allow-maxshield"):
        read_recording(tmp_path / "a-ave.fif")
    assert len(quiet(tmp_path / "a-ave.fif", allow_maxshield="yes")) == 1


# --------------------------------------------------------------------------------- command line


def test_embed_options_reach_the_reader(raw, shielded, tmp_path, micro_checkpoint, capsys):
    text = "Глаза".encode("cp1251")
    files = [write(raw, tmp_path / f"{name}.edf", text) for name in "ab"]
    out = tmp_path / "out.csv"
    command = ["-o", str(out), "--checkpoint", str(micro_checkpoint), "--pooling", "mean"]
    command += ["--missing-positions", "placeholder"]
    for options in ([], ["--encoding", "cp1251"]):
        assert main(["embed", *map(str, files), *command, *options]) == 0
        assert ("guess" in capsys.readouterr().err) == (not options)
        assert list(pd.read_csv(out)["file"]) == [str(file) for file in files]
    assert main(["embed", str(shielded), *command]) == 1
    assert "--allow-maxshield" in capsys.readouterr().err
    assert main(["embed", str(shielded), *command, "--allow-maxshield"]) == 0
    assert "Active Shielding" in capsys.readouterr().err
    folder = str(bids.describe(tmp_path / "set"))
    for option in (["--encoding", "latin1"], ["--allow-maxshield"]):
        with pytest.raises(SystemExit):
            main(["embed", folder, *command, *option])
        assert "are for files" in capsys.readouterr().err


def test_decode_options_reach_the_reader(shielded, tmp_path, micro_checkpoint, capsys):
    names = ("a1", "a2", "b1", "b2")
    paths = [shutil.copy(shielded, tmp_path / f"{name}_raw.fif") for name in names]
    command = ["decode", *map(str, paths), "--label-from-name", "^([ab])", "--no-baselines"]
    command += ["--groups", "([12])"]
    command += ["--checkpoint", str(micro_checkpoint), "--pooling", "mean"]
    assert main(command) == 1
    assert "--allow-maxshield" in capsys.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main([*command, "--allow-maxshield"]) == 0


# --------------------------------------------------------------------------- nothing to be read


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_annotations_without_signals(tmp_path, ending):
    """A hypnogram, or the events of a breathing machine."""
    path = write_edf(tmp_path / f"a.{ending}", annotations=[b"N1", b"N2"], bdf=ending == "bdf")
    with pytest.raises(ValueError, match=rf"a\.{ending}: it holds annotations only, no signals"):
        read_recording(path)


@pytest.mark.filterwarnings("ignore:.*untrained weights")
def test_channels_that_are_no_eeg(raw, tmp_path):
    """They are read; that there is nothing for the network is said, and nothing of bad ones."""
    path = write_edf(tmp_path / "a.edf", raw.get_data()[:2], ["ECG I", "EMG Leg"])
    with pytest.raises(ValueError, match=r"a\.edf.*No supported channel.*ecg.*emg"):
        BrainOFEmbedder(checkpoint=None, pooling="mean").fit_transform([path])
    write_edf(path, raw.get_data()[:2], ["ECG", "EMG"])
    with (
        pytest.warns(RuntimeWarning, match="ECG"),
        pytest.raises(ValueError, match="none is marked bad, and 2 are by name no EEG"),
    ):
        from_raw(quiet(path))


@pytest.mark.parametrize("name", ["a.edf", "a.bdf", "a_raw.fif", "a.vhdr", "a.set", "a.fif.gz"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: the file is empty \(0 bytes\)"):
        read_recording(tmp_path / name)


@pytest.mark.parametrize("ending", ["edf", "bdf", "gdf", "fif"])
def test_table_that_is_called_a_recording(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text("time,Fz,Cz\n" + "0.0,1,2\n" * 500)
    words = rf"a\.{ending}: it does not begin as .*{ending.upper()} files? do.*b'time,Fz"
    with pytest.raises(ValueError, match=words) as caught:
        read_recording(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("is_bdf", [True, False])
def test_edf_and_bdf_under_the_name_of_the_other(raw, tmp_path, is_bdf):
    """MNE would take two bytes for three: values that look like EEG and are none."""
    right, wrong = ("bdf", "edf") if is_bdf else ("edf", "bdf")
    path = write(raw, tmp_path / f"a.{wrong}", b"", bdf=is_bdf)
    words = rf"it is a {right.upper()} file by its content.*Rename it to a\.{right}"
    with pytest.raises(ValueError, match=words):
        read_recording(path)
    quiet(shutil.move(path, tmp_path / f"a.{right}"))


def test_missing_files_of_brainvision(raw, tmp_path):
    mne.export.export_raw(tmp_path / "a.vhdr", raw, verbose="error")
    quiet(tmp_path / "a.vhdr")
    (tmp_path / "a.vmrk").rename(tmp_path / "b.vmrk")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:  # without its markers it is read with a warning, before MNE 1.12 not at all
            read_recording(tmp_path / "a.vhdr")
            text = str([str(entry.message) for entry in said])
        except ValueError as error:
            text = str(error)
    assert "a.vhdr" in text and "a.vmrk" in text
    (tmp_path / "b.vmrk").rename(tmp_path / "a.vmrk")
    (tmp_path / "a.eeg").unlink()
    with pytest.raises(ValueError, match=r"a\.vhdr: .*No such file.*a\.eeg") as caught:
        read_recording(tmp_path / "a.vhdr")
    assert "damaged" not in str(caught.value)


def test_compressed_files(raw, tmp_path):
    path = write(raw, tmp_path / "a.edf", b"")
    packed = tmp_path / "a.edf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.edf\.gz: it is compressed.*Unpack it"):
        read_recording(packed)
    raw.save(tmp_path / "a_raw.fif.gz", verbose="error")
    assert len(quiet(tmp_path / "a_raw.fif.gz").times) == len(raw.times)


def test_folders(tmp_path):
    with pytest.raises(ValueError, match="it is a folder, but not"):
        read_recording(tmp_path)
    with pytest.raises(ValueError, match=r"it is a BIDS dataset: use read_bids\(path\)"):
        read_recording(bids.describe(tmp_path / "set"))


def test_fif_without_an_ending(raw, tmp_path):
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    path = shutil.move(tmp_path / "a_raw.fif", tmp_path / "a")
    with pytest.raises(ValueError, match=r"a FIF file by its content.*Rename it to a\.fif"):
        read_recording(path)


def test_cut_fif(epochs, tmp_path):
    epochs.save(tmp_path / "a-epo.fif", verbose="error")
    whole = (tmp_path / "a-epo.fif").read_bytes()
    (tmp_path / "a-epo.fif").write_bytes(whole[: len(whole) // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"a-epo\.fif.*truncated"):
            from_epochs(read_recording(tmp_path / "a-epo.fif"))
