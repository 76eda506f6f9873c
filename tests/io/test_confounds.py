"""Confounds: tables, files, and fMRIPrep's."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from images import make_data, make_image, make_masker, make_series, save_image

from brainof_toolbox.io import from_nifti
from brainof_toolbox.io.confounds import read_confounds

N = 40
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
POWERS = ["", "_derivative1", "_power2", "_derivative1_power2"]
FMRIPREP_NAME = "sub-01_task-rest_desc-confounds_timeseries.tsv"
IMAGE_NAME = "sub-01_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"


def silent(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def noise(n_columns=3, n_rows=N, seed=0):
    return np.random.default_rng(seed).standard_normal((n_rows, n_columns))


def fmriprep_table(n_rows=N, n_unsteady=0, seed=0):
    """A table as fMRIPrep writes it: what is wanted, and much that is not."""
    wanted = [name + power for power in POWERS for name in MOTION] + ["csf", "white_matter"]
    names = [*wanted, "cosine00", "cosine01", "global_signal", "framewise_displacement"]
    names += [f"a_comp_cor_{i:02d}" for i in range(40)]
    table = pd.DataFrame(noise(len(names), n_rows, seed), columns=names)
    changes = [name for name in names if "derivative" in name or "displacement" in name]
    table.loc[0, changes] = np.nan
    for i in range(n_unsteady):
        table[f"non_steady_state_outlier{i:02d}"] = np.eye(n_rows)[i]
    return table


def save(table, path):
    table.to_csv(path, sep="\t", na_rep="n/a", index=False)
    return path


@pytest.fixture
def fmriprep(tmp_path):
    """An image in MNI space of 60 volumes with fMRIPrep's table beside it."""
    image = save_image(tmp_path / IMAGE_NAME, n_volumes=60)
    table = save(fmriprep_table(60, n_unsteady=2), tmp_path / FMRIPREP_NAME)
    (tmp_path / FMRIPREP_NAME.replace("tsv", "json")).write_text("{}")
    return image, table


# ------------------------------------------------------------------------------------------ tables
def test_none():
    assert read_confounds(None, N) == (None, None)


@pytest.mark.parametrize("kind", ["array", "frame", "tsv", "csv", "txt", "headless"])
def test_forms_of_a_table(tmp_path, kind):
    """One table in six forms is one table."""
    frame = pd.DataFrame(noise(), columns=["a", "b", "c"])
    file = tmp_path / f"table.{'csv' if kind == 'headless' else kind}"
    if kind in ("tsv", "csv", "txt"):
        frame.to_csv(file, sep={"tsv": "\t", "csv": ",", "txt": " "}[kind], index=False)
    elif kind == "headless":
        frame.to_csv(file, header=False, index=False)
    given = {"array": frame.to_numpy(), "frame": frame}.get(kind, file)
    values, sample_mask = silent(read_confounds, given, N)
    np.testing.assert_allclose(values, frame.to_numpy(), rtol=1e-12)
    assert sample_mask is None


def test_row_numbers_are_no_confound(tmp_path):
    """What to_csv writes by default: a first column without a name that counts the rows."""
    frame = pd.DataFrame(noise(), columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "table.csv")
    np.testing.assert_allclose(read_confounds(tmp_path / "table.csv", N)[0], frame, rtol=1e-12)
    frame.set_index(3 * frame.index).to_csv(tmp_path / "other.csv")  # a column like any other
    assert read_confounds(tmp_path / "other.csv", N)[0].shape == (N, 4)


def test_repeated_columns_are_named():
    frame = pd.DataFrame(noise(), columns=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"confounds: columns \['a'\] occur twice"):
        read_confounds(frame, N)


@pytest.mark.parametrize("name", ["nothing.tsv", "simple"])
def test_a_table_that_is_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"No such table of confounds: .*{name}.*'auto'"):
        read_confounds(str(tmp_path / name), N)


def test_one_column():
    assert read_confounds(noise(1)[:, 0], N)[0].shape == (N, 1)
    assert read_confounds(pd.Series(noise(1)[:, 0]), N)[0].shape == (N, 1)


def test_rows_differ_from_volumes():
    """Both numbers are said, and that the table may be transposed."""
    with pytest.raises(ValueError, match="37 rows, but the image has 40 volumes"):
        read_confounds(noise(n_rows=37), N)
    with pytest.raises(ValueError, match="3 rows, but the image has 40 volumes.*transposed"):
        read_confounds(noise().T, N)


def test_too_many_columns():
    with pytest.raises(ValueError, match="39 confounds would leave nothing of 40 volumes"):
        read_confounds(noise(39), N)
    assert read_confounds(noise(38), N)[0].shape == (N, 38)


def test_nan_in_the_first_row():
    """Derivatives start at 0, levels at their next value; both are said by name."""
    table = pd.DataFrame(noise(), columns=["trans_x", "trans_x_derivative1", "dvars"])
    table.iloc[0] = np.nan
    with pytest.warns(RuntimeWarning, match=r"0 in \['trans_x_derivative1', 'dvars'\]") as caught:
        values, _ = read_confounds(table, N)
    assert "next value in ['trans_x']" in str(caught[0].message) and len(caught) == 1
    np.testing.assert_array_equal(values[0], [table["trans_x"][1], 0.0, 0.0])
    np.testing.assert_array_equal(values[1:], table.to_numpy()[1:])
    assert table.iloc[0].isna().all()  # the user's table stays as it was


@pytest.mark.parametrize("rows", [[5], [0, 5], [0, 1, 2], range(N)])
def test_nan_elsewhere(rows):
    """NaN later on is refused by name."""
    table = pd.DataFrame(noise(), columns=["a", "fd", "c"])
    table.loc[list(rows), "fd"] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinite values in fd \(\d+ of 40 rows\)"):
        read_confounds(table, N)


def test_infinite_values_are_refused():
    table = noise()
    table[0, 1] = np.inf
    with pytest.raises(ValueError, match=r"NaN or infinite values in column 1"):
        read_confounds(table, N)


def test_text_is_refused():
    table = pd.DataFrame(noise(), columns=["a", "b", "c"]).astype(object)
    table["b"] = "low"
    with pytest.raises(ValueError, match=r"\['b'\] hold text"):
        read_confounds(table, N)
    with pytest.raises(TypeError, match="must be a DataFrame"):
        read_confounds(object(), N)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.tsv"):
        read_confounds(tmp_path / "absent.tsv", N)
    link = tmp_path / "link.tsv"
    link.symlink_to(tmp_path / "annex")
    with pytest.raises(FileNotFoundError, match="datalad get .*link.tsv"):
        read_confounds(link, N)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv: damaged or not a table"):
        read_confounds(tmp_path / "empty.csv", N)
    (tmp_path / "table.xlsx").write_text("a")
    with pytest.raises(ValueError, match=r"table.xlsx: confounds must be one of"):
        read_confounds(tmp_path / "table.xlsx", N)


# ---------------------------------------------------------------------------------------- fMRIPrep
def test_columns_of_fmriprep(tmp_path):
    """28 of 70 columns: 24 of motion, 2 tissues, 2 cosines; the first volume is no outlier."""
    table = fmriprep_table()
    file = save(table, tmp_path / FMRIPREP_NAME)
    with pytest.warns(RuntimeWarning, match="trans_x_derivative1"):
        values, sample_mask = read_confounds(file, N)
    assert values.shape == (N, 28) and sample_mask is None
    np.testing.assert_allclose(values[1:, -1], table["cosine01"][1:], rtol=1e-12)


def test_unsteady_volumes_are_left_out(tmp_path):
    file = save(fmriprep_table(n_unsteady=2), tmp_path / FMRIPREP_NAME)
    with pytest.warns(RuntimeWarning, match="first rows"):
        _, sample_mask = read_confounds(file, N)
    np.testing.assert_array_equal(sample_mask, np.arange(2, N))


def test_fmriprep_table_with_fewer_columns(tmp_path):
    """What is there is used, and what is not there is said; a table with nothing is refused."""
    whole = fmriprep_table()
    file = save(whole.drop(columns="rot_x"), tmp_path / FMRIPREP_NAME)
    with pytest.warns(RuntimeWarning, match=r"the columns \['rot_x'\] are missing"):
        values, _ = read_confounds(file, N)
    with pytest.warns(RuntimeWarning, match="first rows"):
        complete, _ = read_confounds(save(whole, tmp_path / f"sub-2_{FMRIPREP_NAME}"), N)
    np.testing.assert_array_equal(values, np.delete(complete, 3, axis=1))
    other = whole[["framewise_displacement"]]
    with pytest.raises(ValueError, match=r"none of its columns \['trans_x'"):
        read_confounds(save(other, tmp_path / f"sub-3_{FMRIPREP_NAME}"), N)


def test_table_by_name_equals_nilearn(fmriprep):
    """Our choice of columns is nilearn's strategy "simple", but for the filled first row."""
    image, table = fmriprep
    with pytest.warns(RuntimeWarning, match="first rows"):
        ours, our_mask = read_confounds(table, 60)
    theirs, their_mask = silent(read_confounds, "auto", 60, path=image)
    np.testing.assert_array_equal(our_mask, their_mask)
    assert ours.shape == theirs.shape
    ours, theirs = ours[1:] - ours[1:].mean(axis=0), theirs[1:] - theirs[1:].mean(axis=0)
    distance = np.abs(ours[:, :, None] - theirs[:, None, :]).max(axis=0)
    np.testing.assert_allclose(distance.min(axis=1), 0.0, atol=1e-9)


def test_auto_without_a_table(tmp_path):
    with pytest.raises(ValueError, match=r"desc-confounds_timeseries\.tsv beside it"):
        read_confounds("auto", N, path=tmp_path / IMAGE_NAME)
    with pytest.raises(ValueError, match="in memory"):
        read_confounds("fmriprep", N)


def test_unsteady_volumes_shift_the_onset(fmriprep):
    """Two volumes less, and the sample starts two volumes later."""
    signals = from_nifti(fmriprep[0], masker=make_masker(), confounds="auto")
    assert signals.shape == (1, 12, 58)
    assert signals.onset.tolist() == [4.0] and signals.good_segments == ((0, 58),)


# -------------------------------------------------------------------------------------- regression
def test_confounds_are_regressed_out():
    """What was added is taken away again: the series are those of nilearn, orthogonal to it."""
    confound = noise(1, seed=5)
    image = make_image(make_data() + 50 * confound[:, 0].astype(np.float32))
    raw = from_nifti(image, masker=make_masker())
    clean = from_nifti(image, masker=make_masker(), confounds=confound)
    naive = make_masker(standardize=None).fit_transform(image, confounds=confound)
    np.testing.assert_allclose(clean.data[0].T, naive, rtol=1e-5)
    z = (confound - confound.mean()) / confound.std()
    assert np.abs(raw.data[0].astype(float) @ z / N).min() > 20
    assert np.abs(clean.data[0].astype(float) @ z / N).max() < 0.01
    true = make_series()
    corr = [np.corrcoef(a, b)[0, 1] for a, b in zip(clean.data[0], true.T, strict=True)]
    assert min(corr) > 0.8


def test_one_table_per_image():
    """A list goes with a list; one table for two images, or two for three, is refused."""
    images = [make_image(seed=i) for i in range(2)]
    tables = [noise(seed=3), None]
    both = from_nifti(images, masker=make_masker(), confounds=tables)
    for image, table, signals in zip(images, tables, both, strict=True):
        alone = from_nifti(image, masker=make_masker(), confounds=table)
        np.testing.assert_array_equal(signals.data, alone.data)
    with pytest.raises(ValueError, match="one table but there are 2 images"):
        from_nifti(images, masker=make_masker(), confounds=tables[0])
    with pytest.raises(ValueError, match="confounds has 2 entries but there are 3 images"):
        from_nifti([*images, images[0]], masker=make_masker(), confounds=tables)
    with pytest.raises(ValueError, match=r"imgs\[1\].*37 rows.*40 volumes"):
        from_nifti(images, masker=make_masker(), confounds=[None, noise(n_rows=37)])
