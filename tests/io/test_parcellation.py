"""The default parcellation: the same everywhere, balanced, symmetric, in the right place."""

from __future__ import annotations

import hashlib
import re

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from benchmarks.lib.landmarks import LANDMARKS
from benchmarks.parcellation import bisect_cloud, join_pieces, make_parcellation
from brainof_toolbox.io.atlases import default_parcellation
from brainof_toolbox.io.regions import mni_to_head, region_geometry, resolve_masker


@pytest.fixture(scope="module")
def parcellation():
    return default_parcellation()


@pytest.fixture(scope="module")
def data(parcellation):
    return np.asarray(parcellation.img.dataobj)


def test_offline_and_cached(no_network):
    default_parcellation.cache_clear()
    first = default_parcellation()
    assert default_parcellation() is first
    assert not first.positions.flags.writeable


def test_the_same_on_every_machine(data):
    """A change of this number changes what every model of region series was trained on."""
    digest = hashlib.sha256(np.ascontiguousarray(data, dtype="<i2").tobytes()).hexdigest()
    assert digest[:16] == "fa11df75aa33bc0d"


def test_shipped_files_are_what_the_generator_makes(parcellation, data):
    labels, affine, names, positions = make_parcellation()
    np.testing.assert_array_equal(labels, data)
    np.testing.assert_array_equal(affine, parcellation.img.affine)
    assert names == parcellation.labels
    np.testing.assert_array_equal(positions, parcellation.positions)


def test_246_balanced_parcels(parcellation, data):
    """Sizes within a factor of 2; names unique and readable."""
    assert set(np.unique(data)) == set(range(247))
    sizes = np.bincount(data.ravel())[1:]
    assert sizes.max() / sizes.min() < 1.7
    assert sizes.sum() * 0.027 == pytest.approx(1010, abs=30)  # ml of grey matter
    assert len(set(parcellation.labels)) == 246 == len(parcellation.labels)
    known = {name for name, _ in LANDMARKS}
    for name in parcellation.labels:
        match = re.fullmatch(r"([LR]) (.+) (\d+)", name)
        assert match and match[2] in known
    assert "L precentral gyrus 1" in parcellation.labels
    assert len({name[2:].rsplit(" ", 1)[0] for name in parcellation.labels}) > 40


def test_left_is_the_mirror_image_of_right(parcellation, data):
    """Label 2k is label 2k - 1 seen in the mirror, in the image, the name and the position."""
    mirrored = data[::-1]
    swapped = np.where(mirrored == 0, 0, np.where(mirrored % 2 == 1, mirrored + 1, mirrored - 1))
    np.testing.assert_array_equal(swapped, data)
    x = parcellation.img.affine[0, 3] + 3 * np.arange(data.shape[0])
    np.testing.assert_array_equal(x, -x[::-1])
    left, right = parcellation.positions[::2], parcellation.positions[1::2]
    np.testing.assert_array_equal(left * [-1, 1, 1], right)
    assert (left[:, 0] < 0).all()
    for a, b in zip(parcellation.labels[::2], parcellation.labels[1::2], strict=True):
        assert a[0] == "L" and b[0] == "R" and a[1:] == b[1:]


def test_nearly_contiguous(data):
    """At least 97 % of all voxels hang together with the rest of their parcel."""
    apart = 0
    for label in range(1, 247, 2):
        pieces, _ = ndimage.label(data == label, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        apart += sizes.sum() - sizes.max()
    assert apart / np.count_nonzero(data) * 2 < 0.03


def test_parcels_are_compact(data):
    """The root-mean-square radius of most parcels is near that of a ball of their volume."""
    voxels = np.argwhere(data)
    label = data[tuple(voxels.T)]
    radii = [voxels[label == k].std(axis=0) for k in range(1, 247)]
    radii = 3 * np.linalg.norm(radii, axis=1)  # mm; a ball of 4.1 ml has 7.7
    assert np.median(radii) < 11 and radii.max() < 20


def naive_bisect(voxels, n_parts):
    """One voxel at a time, sorting tuples."""
    if n_parts == 1:
        return {voxel: 0 for voxel in voxels}
    best = None
    for d in [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]:
        if d > (0, 0, 0):
            along = [sum(p * q for p, q in zip(v, d, strict=True)) for v in voxels]
            spread = len(voxels) * sum(a * a for a in along) - sum(along) ** 2
            spread /= sum(p * p for p in d)
            if best is None or spread > best[0]:
                best = (spread, along)
    order = sorted(range(len(voxels)), key=lambda i: (best[1][i], voxels[i]))
    cut = round(len(voxels) * (n_parts // 2) / n_parts)
    first = naive_bisect(sorted(voxels[i] for i in order[:cut]), n_parts // 2)
    second = naive_bisect(sorted(voxels[i] for i in order[cut:]), n_parts - n_parts // 2)
    return first | {voxel: part + n_parts // 2 for voxel, part in second.items()}


@pytest.mark.parametrize("n_parts", [1, 2, 5, 8])
def test_bisect_equals_naive(n_parts):
    mask = np.random.default_rng(n_parts).random((7, 9, 5)) < 0.5
    voxels = np.argwhere(mask)
    part = bisect_cloud(voxels, n_parts)
    expected = naive_bisect([tuple(v) for v in voxels.tolist()], n_parts)
    assert part.tolist() == [expected[tuple(v)] for v in voxels.tolist()]
    sizes = np.bincount(part)
    assert len(sizes) == n_parts and sizes.max() - sizes.min() <= 3


def test_pieces_join_what_they_touch():
    part = np.zeros((12, 5, 5), np.int16)
    part[:5], part[5:] = 1, 2
    part[9, 2, 2] = 1  # a piece of 1 inside 2
    joined = join_pieces(part.copy())
    assert joined[9, 2, 2] == 2 and (joined[:5] == 1).all()
    part[11, :, :] = 1  # 25 voxels: too large to change hands
    part[9, 2, 2] = 2
    np.testing.assert_array_equal(join_pieces(part.copy()), part)


def test_masker_of_the_default(parcellation):
    """``None`` means these parcels, in the head frame, under their names."""
    names, pos = region_geometry(resolve_masker(None, t_r=2.0))
    assert names == parcellation.labels
    np.testing.assert_allclose(pos, mni_to_head(parcellation.positions), atol=1e-9)


def test_places_on_a_manual_atlas(parcellation, data, data_dir):
    """Cerebrum and subcortex are covered, cerebellum is not; names agree with a manual atlas."""
    atlas = nibabel.load(data_dir / "atlas-mni" / "AAL2_MNI_2mm.nii.gz")
    manual = np.asarray(atlas.dataobj)
    voxels = np.argwhere(manual)
    label = manual[tuple(voxels.T)]
    places = nibabel.affines.apply_affine(atlas.affine, voxels)
    mine = nibabel.affines.apply_affine(np.linalg.inv(parcellation.img.affine), places)
    mine = np.clip(np.round(mine).astype(int), 0, np.array(data.shape) - 1)
    is_covered = data[tuple(mine.T)] > 0
    cerebellum = label >= 9000
    assert is_covered[cerebellum].mean() < 0.06
    assert is_covered[~cerebellum].mean() > 0.6  # the atlas draws white matter too
    for region in np.unique(label[label < 9000]):
        assert is_covered[label == region].mean() > 0.15, region
