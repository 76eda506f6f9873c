"""The cache of masked series: keyed on what the values depend on."""

from __future__ import annotations

import numpy as np
import pytest
from images import AFFINE, atlas_data, make_data, make_image, make_masker, save_image
from nibabel import Nifti1Image

from brainof_toolbox.io import from_nifti, masking


def read(image, **kwargs):
    """Read with the small atlas."""
    return from_nifti(image, **{"masker": make_masker(), **kwargs})


@pytest.fixture
def maskings(monkeypatch):
    """Counts how often values of an image are read to be masked."""
    counts = []
    original = masking.read_data
    monkeypatch.setattr(masking, "read_data", lambda *a: counts.append(1) or original(*a))
    return counts


def test_cache_is_keyed_on_content(tmp_path, maskings):
    """Same content and parameters: masked once. Anything else that changes values: again."""
    path, cache = save_image(tmp_path / "a.nii.gz"), tmp_path / "cache"
    first = read(path, memory=cache)
    again = read(path, memory=cache)
    assert len(maskings) == 1
    np.testing.assert_array_equal(first.data, again.data)
    np.testing.assert_array_equal(first.data, read(path).data)
    assert first.ch_names == again.ch_names and first.signature == again.signature
    moved = path.rename(tmp_path / "b.nii.gz")
    maskings.clear()
    read(moved, memory=str(cache), subject="x")
    assert len(maskings) == 0
    changes = [
        {"masker": make_masker(standardize="zscore_sample")},
        {"masker": make_masker(labels_img=Nifti1Image(atlas_data() % 7, AFFINE))},
        {"masker": make_masker(mask_img=Nifti1Image((atlas_data() > 0).astype(np.int8), AFFINE))},
        {"confounds": np.random.default_rng(0).random((40, 2))},
        {"confounds": np.random.default_rng(1).random((40, 2))},
    ]
    for n, change in enumerate(changes, start=1):
        for _ in range(2):
            read(moved, memory=cache, **change)
        assert len(maskings) == n
    save_image(moved, seed=1)
    other = read(moved, memory=cache)
    assert len(maskings) == len(changes) + 1
    assert not np.array_equal(other.data, first.data)


def test_cache_of_images_in_memory(tmp_path, maskings):
    """Values, affine and repetition time make the key; a joblib.Memory is taken as it is."""
    from joblib import Memory

    memory = Memory(tmp_path, verbose=0)
    for _ in range(2):
        expected = read(make_image(), memory=memory)
    assert len(maskings) == 1
    data = make_data()
    data[8, 8, 8, 7] += 1
    shifted = AFFINE.copy()
    shifted[0, 3] += 10
    for image in (make_image(data), make_image(affine=shifted)):
        assert not np.array_equal(read(image, memory=memory).data, expected.data)
    assert len(maskings) == 3
    assert read(make_image(t_r=1.5), memory=memory).sfreq == 1 / 1.5
    with pytest.raises(TypeError, match="memory must be a folder"):
        from_nifti(make_image(), masker=make_masker(), memory=3)


def test_cache_repeats_warnings(tmp_path, maskings):
    data = make_data()
    data[atlas_data() == 4] = 3
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="1 region is constant"):
            from_nifti(make_image(data), masker=make_masker(), memory=tmp_path)
    assert len(maskings) == 1
