"""Region time series from arrays and tables -> Signals."""

from __future__ import annotations

import warnings

import nibabel
import numpy as np
import pandas as pd
import pytest
import scipy.io

from brainof_toolbox import Signals, from_roi_timeseries
from brainof_toolbox.io.regions import head_to_mni, region_geometry, resolve_masker

POSITIONS = (
    np.array([[-40, -20, 50], [40, -20, 50], [0, -52, 26], [-8, -80, 6], [30, 20, -2]]) * 1e-3
)
AFFINE = np.diag([4.0, 4, 4, 1])


def make_series(n_volumes=24, n_rois=5, n_samples=None):
    shape = (n_volumes, n_rois) if n_samples is None else (n_samples, n_volumes, n_rois)
    return np.random.default_rng(n_volumes).normal(500, 3, shape)


def make_atlas():
    data = np.zeros((12, 12, 12), np.int16)
    for i, label in enumerate((2, 4, 6, 8, 2001)):
        data[2 * i + 1, i + 1, 3:6] = label
    return nibabel.Nifti1Image(data, AFFINE)


def read(data, **options):
    options = {"t_r": 2.0, "roi_positions": POSITIONS} | options
    if options.get("labels_img") is not None:
        del options["roi_positions"]
    return from_roi_timeseries(data, **options)


# ------------------------------------------------------------------------------------------ arrays
@pytest.mark.parametrize("n_samples", [None, 1, 3])
def test_array(n_samples):
    data = make_series(n_samples=n_samples)
    signals = read(data)
    assert isinstance(signals, Signals) and signals.modality == "fmri"
    expected = data.reshape(-1, 24, 5).swapaxes(1, 2).astype(np.float32)
    np.testing.assert_array_equal(signals.data, expected)
    assert signals.sfreq == 0.5 and set(signals.ch_types) == {"bold"}
    assert signals.ch_names == tuple(f"ROI {i}" for i in range(1, 6))
    np.testing.assert_allclose(head_to_mni(signals.ch_pos), POSITIONS, atol=1e-7)
    assert not signals.has_baseline and not signals.is_locked


def test_input_is_not_changed():
    """Any input: not changed by fit/transform (data, info, annotations)."""
    data, before = make_series(n_samples=2), make_series(n_samples=2)
    read(data)
    np.testing.assert_array_equal(data, before)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, object])
def test_dtypes(dtype):
    """Integers are scanner units as good as any; numbers in an object array are numbers."""
    data = make_series().round().clip(0, 255).astype(dtype)
    data[0, 0] = 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clipped values are constant
        data[:, 1] = 7
        np.testing.assert_array_equal(read(data).data[0].T, data.astype(np.float32))


def test_runs_of_unequal_length():
    """A list stays a list: one Signals per run, each with who and when."""
    runs = [
        make_series(24),
        make_series(30),
        pd.DataFrame(make_series(12), columns=list("abcde")),
    ]
    signals = read(runs, subject=["01", "01", "02"], task="rest", run=[1, 2, 1])
    assert [s.shape for s in signals] == [(1, 5, 24), (1, 5, 30), (1, 5, 12)]
    assert [s.subject for s in signals] == [("01",), ("01",), ("02",)]
    assert [s.run for s in signals] == [("1",), ("2",), ("1",)]
    assert {s.task for s in signals} == {("rest",)}
    assert signals[2].ch_names == tuple("abcde")
    np.testing.assert_array_equal(signals[1].data[0].T, runs[1].astype(np.float32))


def test_nested_lists_are_an_array():
    data = make_series(n_samples=2)
    np.testing.assert_array_equal(read(make_series().tolist()).data, read(make_series()).data)
    assert [s.shape for s in read(data.tolist())] == [(1, 5, 24)] * 2


def test_estimators_take_it():
    """What comes out is a valid X for scikit-learn's splitters."""
    signals = read(make_series(n_samples=4), subject=list("abcd"))
    assert len(signals[[0, 2]]) == 2 and signals[1:].subject == ("b", "c", "d")


# ------------------------------------------------------------------------------------------ tables
def write(values, path, kind):
    """Write (n_volumes, n_rois) in the layout that ``kind`` names."""
    names = [f"area {i}" for i in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names)
    if kind == "plain.txt":
        np.savetxt(path, values, fmt="%15.7e")
    elif kind == "commented.txt":
        np.savetxt(path, values, header="\t".join(names), delimiter="\t")
    elif kind == "header.csv":
        frame.to_csv(path, index=False)
    elif kind == "index.csv":
        frame.to_csv(path)
    elif kind == "bare.csv":
        frame.to_csv(path, index=False, header=False)
    elif kind == "turned.csv":
        pd.DataFrame(values.T).to_csv(path, index=False, header=False)
    elif kind == "comma.csv":
        frame.to_csv(path, index=False, sep=";", decimal=",")
    elif kind == "header.tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif kind == "a.mat":
        scipy.io.savemat(path, {"tc": values, "t_r": 2.0, "who": "me"})
    elif kind == "turned.mat":
        scipy.io.savemat(path, {"tc": values.T, "motion": np.ones((24, 6))})
    else:
        np.save(path, values if kind == "a.npy" else values.T)
    return names


@pytest.mark.parametrize(
    "kind",
    "plain.txt commented.txt header.csv index.csv bare.csv comma.csv header.tsv a.mat "
    "a.npy".split(),
)
def test_table(kind, tmp_path):
    """Every layout gives the same series; names where the file has them."""
    values = make_series()
    names = write(values, tmp_path / kind, kind)
    signals = read(tmp_path / kind)
    np.testing.assert_allclose(signals.data[0].T, values, rtol=1e-6)
    named = kind in ("commented.txt", "header.csv", "index.csv", "comma.csv", "header.tsv")
    assert signals.ch_names == (tuple(names) if named else tuple(f"ROI {i + 1}" for i in range(5)))
    paths = [str(tmp_path / kind)] * 2
    for several in (paths, tuple(paths), pd.Series(paths), np.array(paths)):
        assert [s.shape for s in read(several)] == [(1, 5, 24)] * 2


def test_entities_from_the_name(tmp_path):
    """A BIDS name says whose; an argument goes before it."""
    path = tmp_path / "sub-07_ses-b_task-rest_run-2_timeseries.tsv"
    write(make_series(), path, "header.tsv")
    signals = read([path, path], run=["9", None])
    assert [s.run for s in signals] == [("9",), ("2",)]
    assert signals[0].subject == ("07",) and signals[0].session == ("b",)
    assert signals[0].task == ("rest",)


@pytest.mark.parametrize("kind", ["turned.csv", "turned.mat", "turned.npy"])
def test_transposed_table_is_refused(kind, tmp_path):
    """Only the rows have the number of regions."""
    write(make_series(), tmp_path / kind, kind)
    with pytest.raises(ValueError, match=rf"{kind}.*24 regions and 5 volumes.*Transpose"):
        read(tmp_path / kind)


def test_square_table_may_be_transposed(tmp_path):
    """As many volumes as regions: read as all tables, with a warning unless it has names."""
    values = make_series(12, 12)
    pos = np.random.default_rng(0).uniform(-0.05, 0.05, (12, 3))
    np.savetxt(tmp_path / "a.txt", values)
    np.save(tmp_path / "a.npy", values)
    for item in (tmp_path / "a.txt", tmp_path / "a.npy", values, values[None]):
        with pytest.warns(RuntimeWarning, match="as many volumes as regions \\(12\\)"):
            signals = read(item, roi_positions=pos)
        np.testing.assert_allclose(signals.data[0].T, values, rtol=1e-6)
    frame = pd.DataFrame(values, columns=list("abcdefghijkl"))
    np.testing.assert_allclose(read(frame, roi_positions=pos).data[0].T, values, rtol=1e-6)


def test_mat_variable(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"rest": make_series(24), "task": make_series(30), "age": 3.0})
    with pytest.raises(ValueError, match=r"variable=.*'rest' \(24, 5\).*'task' \(30, 5\)"):
        read(path)
    assert read(path, variable="task").shape == (1, 5, 30)
    with pytest.raises(ValueError, match=r"'nap'.*'rest'"):
        read(path, variable="nap")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.txt", b"", "empty"),
        ("a.csv", b"1,2,3\n4,5\n6,7,8,9,9\n", "damaged"),
        ("a.csv", b"\xff\xfe\x00\x81\n", "damaged"),
        ("a.mat", b"not matlab", "damaged"),
        ("a.mat", b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\x00\x02IM" + b"\x00" * 400, "7.3"),
        ("a.npy", b"not numpy", "damaged"),
        ("a.xlsx", b"x", r"\.csv"),
        ("a.nii.gz", b"x", "from_nifti"),
    ],
)
def test_broken_table(name, content, match, tmp_path):
    """The file is named, and what is wrong with it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=match) as error:
        read([tmp_path / name])
    assert name in str(error.value)


def test_pickled_array_is_refused(tmp_path):
    """No pickle runs."""
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy"):
        read(tmp_path / "a.npy")


def test_missing_table():
    """Path that does not exist: FileNotFoundError naming it."""
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        read("nowhere.csv")


def test_words_in_a_table(tmp_path):
    frame = pd.DataFrame(make_series(), columns=list("abcde"))
    frame["scanner"] = "Prisma"
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"a\.csv.*'scanner'"):
        read(tmp_path / "a.csv")


# --------------------------------------------------------------------------------------- positions
def test_positions_from_an_atlas(tmp_path):
    """The same names and places as a masker of that atlas gives, however it is passed."""
    atlas = make_atlas()
    nibabel.save(atlas, tmp_path / "atlas.nii.gz")
    names, pos = region_geometry(resolve_masker(atlas))
    for given in (atlas, tmp_path / "atlas.nii.gz", resolve_masker(atlas)):
        signals = read(make_series(), labels_img=given)
        assert signals.ch_names == names
        np.testing.assert_allclose(signals.ch_pos, pos, atol=1e-7)


def test_positions_by_the_name_of_an_atlas(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("BRAINOF_ATLASES", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="fetch_atlas"):
        read(make_series(), roi_positions="aal")
    (tmp_path / "aal").mkdir()
    nibabel.save(make_atlas(), tmp_path / "aal" / "atlas.nii.gz")
    assert read(make_series(), roi_positions="aal").ch_names[4] == "region 2001"


def test_part_of_an_atlas(tmp_path):
    """By label, by name given, or by the names in the table: the place belongs to the region."""
    atlas = make_atlas()
    _, pos = region_geometry(resolve_masker(atlas))
    data, expected = make_series()[:, :2], pos[[3, 1]]
    names = ["region 8", "region 4"]
    frame = pd.DataFrame(data, columns=names)
    for signals in (
        read(data, labels_img=atlas, labels=[8, 4]),
        read(data, labels_img=atlas, ch_names=names),
        read(frame, labels_img=atlas),
    ):
        assert signals.ch_names == tuple(names)
        np.testing.assert_allclose(signals.ch_pos, expected, atol=1e-7)
        np.testing.assert_array_equal(signals.data[0].T, data.astype(np.float32))
    named = read(data, labels_img=atlas, labels=[8, 4], ch_names=["x", "y"])
    assert named.ch_names == ("x", "y")
    np.testing.assert_allclose(named.ch_pos, expected, atol=1e-7)
    with pytest.raises(ValueError, match=r"2 regions.*5 positions.*labels="):
        read(data, labels_img=atlas)
    with pytest.raises(ValueError, match=r"no label \[9\]"):
        read(data, labels_img=atlas, labels=[8, 9])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"roi_positions": None}, r"roi_positions=.*labels_img="),
        ({"roi_positions": POSITIONS * 1e3}, r"\* 1e-3"),
        ({"roi_positions": POSITIONS * 10}, "Metres are expected"),
        ({"roi_positions": POSITIONS * 0}, "zero"),
        ({"roi_positions": POSITIONS[:, :2]}, r"\(n_rois, 3\)"),
        ({"roi_positions": np.where(POSITIONS == 0, np.nan, POSITIONS)}, r"NaN.*\[2\]"),
        ({"roi_positions": [["a"] * 3] * 5}, "numbers"),
        ({"roi_positions": POSITIONS[:4]}, r"5 regions.*4 positions"),
        ({"roi_positions": POSITIONS, "labels": [1]}, "labels_img"),
        ({"ch_names": ["a"]}, r"5 regions.*1 ch_names"),
        ({"ch_names": ["a", "a", "b", "c", "d"]}, "'a'"),
        ({"subject": ["01", "02"]}, r"subject has 2 .* 1 samples"),
        ({"variable": "tc", "roi_positions": "aal-9"}, "aal"),
        ({"t_r": 0}, "t_r"),
        ({"t_r": -2.0}, "t_r"),
        ({"t_r": np.nan}, "t_r"),
        ({"t_r": 2000}, r"t_r.*millisecond"),
    ],
)
def test_options_refused(options, match):
    """And positions that are missing, in mm, or of another number."""
    with pytest.raises(ValueError, match=match):
        read(make_series(), **options)


def test_both_positions_refused():
    with pytest.raises(ValueError, match="not both"):
        from_roi_timeseries(make_series(), t_r=2, roi_positions=POSITIONS, labels_img=make_atlas())


def test_same_position_twice_is_said():
    """Two channels at the same position."""
    with pytest.warns(RuntimeWarning, match="equal rows"):
        read(make_series(), roi_positions=POSITIONS[[0, 1, 2, 3, 3]])


# -------------------------------------------------------------------------------------------- data
@pytest.mark.parametrize(
    ("data", "match"),
    [
        (make_series().T, r"24 regions.*5 positions.*\(n_volumes, n_rois\)"),
        (make_series(n_samples=3).transpose(0, 2, 1), "Transpose"),
        (make_series(3), r"3 volumes.*minimum is 10"),
        (make_series()[0], "shape"),
        (make_series()[None, None], "shape"),
        (np.empty((0, 24, 5)), "shape"),
        (make_series() + 1j, "complex"),
        (make_series().astype(str), "real numbers"),
        (np.array([[None] * 5] * 24), "NaN|real numbers"),
        (np.zeros((24, 5)), "constant"),
        ([], "empty"),
        ([make_series(), make_series().T], r"data\[1\] has 24 regions"),
    ],
)
def test_data_refused(data, match):
    with pytest.raises(ValueError, match=match):
        read(data)


@pytest.mark.parametrize("data", [None, 3, {"a": 1}, {1, 2}])
def test_type_refused(data):
    """None, str, Evoked, generator, dict, set: error listing accepted types."""
    with pytest.raises(TypeError, match="DataFrame"):
        read(data)


def test_nan_names_region_and_file(tmp_path):
    data = make_series()
    data[4:7, 2] = np.nan
    write(data, tmp_path / "a.csv", "header.csv")
    with pytest.raises(ValueError, match=r"data\[0\].*a\.csv.*'area 2' \(3 of 24\)"):
        read([tmp_path / "a.csv"])
    data[4:7, 2] = np.inf
    with pytest.raises(ValueError, match=r"'ROI 3' \(3 of 24\)"):
        read(data)


def test_constant_region_is_said():
    """Finite, and named."""
    data = make_series()
    data[:, 1] = 7.0
    with pytest.warns(RuntimeWarning, match=r"constant.*'ROI 2'"):
        assert np.isfinite(read(data).data).all()


# --------------------------------------------------------------------------------- real recordings
def test_hcp_rest(data_dir):
    """94 of AAL2's 120 regions, in the order of its table: by table and by label alike."""
    folder = data_dir / "fmri-hcp-rest"
    table = pd.read_csv(data_dir / "atlas-mni" / "AAL2_centroids.csv")[:94]
    paths = sorted(folder.glob("*.mat"))[:2]
    series = [scipy.io.loadmat(path)["tc"].T for path in paths]  # saved as regions x volumes
    with pytest.raises(ValueError, match="Transpose"):
        from_roi_timeseries(paths, t_r=0.72, roi_positions=table[["x", "y", "z"]] * 1e-3)
    by_table = from_roi_timeseries(
        series, t_r=0.72, roi_positions=table[["x", "y", "z"]] * 1e-3, ch_names=table["name"]
    )
    by_label = from_roi_timeseries(
        series,
        t_r=0.72,
        labels_img=data_dir / "atlas-mni" / "AAL2_MNI_2mm.nii.gz",
        labels=table["label"],
    )
    for path, one, other in zip(paths, by_table, by_label, strict=True):
        np.testing.assert_array_equal(one.data[0], scipy.io.loadmat(path)["tc"].astype(np.float32))
        assert one.shape == (1, 94, 1200)
        assert np.linalg.norm(one.ch_pos - other.ch_pos, axis=1).max() < 1.5e-3
        np.testing.assert_array_equal(one.data, other.data)
    left = by_table[0].ch_pos[:, 0] < 0
    assert all(
        name.endswith("_L") == is_left
        for name, is_left in zip(by_table[0].ch_names, left, strict=True)
    )


def test_story_listening(data_dir):
    """Six spheres: their places are known to the user alone."""
    paths = sorted((data_dir / "fmri-story-listening").glob("s*/*_rois-6mm_timecourses.txt"))
    pos = np.array(
        [[-52, 8, -20], [52, 8, -20], [-58, -44, 6], [-50, -56, 26], [-46, 0, 48], [-48, 26, 8]]
    )
    names = ["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"]
    subjects = [path.parent.name for path in paths]
    signals = from_roi_timeseries(
        paths, t_r=2.0, roi_positions=pos * 1e-3, ch_names=names, subject=subjects
    )
    assert len(signals) == 18 and {s.shape for s in signals} == {(1, 6, 362)}
    assert [s.subject[0] for s in signals] == subjects
    np.testing.assert_allclose(signals[3].data[0], np.loadtxt(paths[3]).T, rtol=1e-6)
    together = Signals.concatenate(signals)
    assert together.shape == (18, 6, 362)


def test_nitime(data_dir):
    """A table with names, whose first three columns are no regions."""
    path = data_dir / "fmri-nitime" / "fmri_timeseries.csv"
    frame = pd.read_csv(path)
    pos = np.random.default_rng(0).uniform(-0.06, 0.06, (31, 3))
    whole = from_roi_timeseries(path, t_r=1.89, roi_positions=pos)
    part = from_roi_timeseries(frame.iloc[:, 3:], t_r=1.89, roi_positions=pos[3:])
    assert whole.shape == (1, 31, 250) and whole.ch_names[:3] == ("WM", "Vent", "Brain")
    assert part.ch_names == whole.ch_names[3:]
    np.testing.assert_array_equal(part.data[0], whole.data[0, 3:])
    np.testing.assert_allclose(whole.data[0], frame.to_numpy().T, rtol=1e-6)
    with pytest.raises(ValueError, match=r"31 regions.*28 positions"):
        from_roi_timeseries(path, t_r=1.89, roi_positions=pos[3:])
