"""Named atlases: the download that is asked for, and the place where readers find it."""

from __future__ import annotations

import types

import nibabel
import nilearn.datasets
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker

from brainof_toolbox.datasets import fetch_atlas
from brainof_toolbox.io.regions import region_geometry, resolve_masker

AFFINE = np.array([[8.0, 0, 0, -16], [0, 8, 0, -24], [0, 0, 8, 0], [0, 0, 0, 1]])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where atlases are kept during the test."""
    monkeypatch.setenv("BRAINOF_ATLASES", str(tmp_path / "atlases"))
    return tmp_path / "atlases"


@pytest.fixture
def fetcher(monkeypatch, tmp_path):
    """Put a local stand-in in nilearn's place; ``calls`` tells what was asked."""
    calls = []

    def put(function, atlas):
        def fetch(*args, **options):
            calls.append((function, options))
            if isinstance(atlas, Exception):
                raise atlas
            return atlas

        monkeypatch.setattr(nilearn.datasets, function, fetch)

    return types.SimpleNamespace(put=put, calls=calls)


def labels_atlas(tmp_path):
    data = np.zeros((5, 5, 5), np.int16)
    data[1, 2, 2], data[3, 2, 2] = 7, 4
    path = tmp_path / "small.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), path)
    lut = pd.DataFrame({"index": [0, 4, 7], "name": ["Background", "right", "left"], "color": "x"})
    return types.SimpleNamespace(maps=str(path), lut=lut, labels=["Background", "right", "left"])


@pytest.mark.parametrize(
    ("name", "function", "option"),
    [
        ("schaefer-200", "fetch_atlas_schaefer_2018", ("n_rois", 200)),
        ("Schaefer_200", "fetch_atlas_schaefer_2018", ("n_rois", 200)),
        ("aal", "fetch_atlas_aal", None),
        ("harvard-oxford", "fetch_atlas_harvard_oxford", ("symmetric_split", True)),
        ("destrieux", "fetch_atlas_destrieux_2009", None),
        ("basc-122", "fetch_atlas_basc_multiscale_2015", ("resolution", 122)),
    ],
)
def test_fetch_labels(name, function, option, folder, fetcher, tmp_path, no_network):
    """Fetched once, found by name afterwards, with names and places of the regions."""
    fetcher.put(function, labels_atlas(tmp_path))
    with pytest.raises(FileNotFoundError, match="fetch_atlas"):
        resolve_masker(name)
    assert not fetcher.calls  # naming an atlas downloads nothing
    fetched = fetch_atlas(name)
    if option:
        assert fetcher.calls[0][1][option[0]] == option[1]
    again = fetch_atlas(name)
    assert len(fetcher.calls) == 1
    for masker in (fetched, again, resolve_masker(name)):
        assert isinstance(masker, NiftiLabelsMasker)
        names, pos = region_geometry(masker)
        assert names == ("right", "left")
        assert pos[0, 0] - pos[1, 0] == pytest.approx(0.016, abs=1e-4)
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [
        "atlas.nii.gz",
        "atlas.tsv",
    ]


@pytest.mark.parametrize(
    ("name", "function", "labels"),
    [
        (
            "difumo-64",
            "fetch_atlas_difumo",
            pd.DataFrame({"component": [1, 2], "difumo_names": ["a", "b"]}),
        ),
        ("msdl", "fetch_atlas_msdl", ["a", "b"]),
    ],
)
def test_fetch_maps(name, function, labels, folder, fetcher, no_network):
    maps = np.zeros((5, 5, 5, 2), np.float32)
    maps[1, 2, 2, 0] = maps[3, 2, 2, 1] = 1
    atlas = types.SimpleNamespace(maps=nibabel.Nifti1Image(maps, AFFINE), labels=labels)
    fetcher.put(function, atlas)
    masker = fetch_atlas(name)
    assert isinstance(masker, NiftiMapsMasker)
    names, pos = region_geometry(masker)
    assert names == ("a", "b") and pos[1, 0] - pos[0, 0] == pytest.approx(0.016, abs=1e-4)


def test_fetch_data_dir(folder, fetcher, tmp_path, no_network):
    """Another folder: the returned masker works, the name alone does not lead there."""
    fetcher.put("fetch_atlas_aal", labels_atlas(tmp_path))
    masker = fetch_atlas("aal", data_dir=tmp_path / "elsewhere")
    assert region_geometry(masker)[0] == ("right", "left")
    with pytest.raises(FileNotFoundError, match="fetch_atlas"):
        resolve_masker("aal")


def test_fetch_fails(folder, fetcher, no_network):
    """A failed download names the atlas, leaves nothing, and can be tried again."""
    fetcher.put("fetch_atlas_aal", ConnectionError("no route"))
    with pytest.raises(OSError, match=r"'aal'.*no route.*masker="):
        fetch_atlas("aal")
    assert list(folder.iterdir()) == []


def test_brainnetome(folder, no_network):
    """No fetcher: by hand, and then found by name."""
    with pytest.raises(FileNotFoundError, match=r"atlas\.brainnetome\.org"):
        fetch_atlas("brainnetome")
    with pytest.raises(FileNotFoundError, match=r"atlas\.brainnetome\.org"):
        resolve_masker("brainnetome")
    (folder / "brainnetome").mkdir(parents=True)
    data = np.arange(125, dtype=np.int16).reshape(5, 5, 5)
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), folder / "brainnetome" / "atlas.nii.gz")
    assert len(region_geometry(fetch_atlas("brainnetome"))[0]) == 124


@pytest.mark.parametrize("name", ["schaefer", "schaefer-250", "aal-3", "nonsense", "basc-"])
def test_unknown_name(name, folder, no_network):
    with pytest.raises(ValueError, match="available"):
        fetch_atlas(name)
