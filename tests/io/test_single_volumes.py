"""3-D maps (betas, contrasts) as samples: region values, and what does not apply to them."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from images import AFFINE, N_REGIONS, SHAPE, atlas_data, make_image, make_masker, save_image
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMapsMasker

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, epochs_from_nifti, from_nifti
from brainof_toolbox.encoder import Encoder
from brainof_toolbox.io.inputs import open_samples
from brainof_toolbox.pretraining import build_corpus

LABELS = np.arange(24) % 2


def make_betas(n_maps=24, effect=1.0, seed=0):
    """Maps of noise, of which every second one is higher in region 3."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((n_maps, *SHAPE))
    data[:, atlas_data() == 3] += effect * (np.arange(n_maps) % 2)[:, None]
    return [Nifti1Image(beta, AFFINE) for beta in data.astype(np.float32)]


def silent(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def classifier(checkpoint, **options):
    return BrainOFClassifier(checkpoint, pooling="mean", masker=make_masker(), **options)


@pytest.mark.parametrize("options", [{}, {"standardize": "zscore_sample", "detrend": True}])
def test_values_are_means_of_regions(tmp_path, options):
    """In memory and on disk, whatever the masker does over time."""
    betas = make_betas(3)
    betas[2].to_filename(tmp_path / "sub-07_task-a_beta.nii.gz")
    items = [*betas[:2], tmp_path / "sub-07_task-a_beta.nii.gz"]
    found = silent(from_nifti, items, masker=make_masker(**options), memory=tmp_path / "cache")
    for signals, beta in zip(found, betas, strict=True):
        data = beta.get_fdata()
        naive = [data[atlas_data() == i + 1].mean() for i in range(N_REGIONS)]
        np.testing.assert_allclose(signals.data[0, :, 0], naive, atol=1e-6)
        assert signals.shape == (1, N_REGIONS, 1)
        assert signals.has_baseline and signals.is_locked
    assert found[0].signature == found[2].signature and found[2].subject == ("07",)
    assert silent(from_nifti, betas[1], masker=make_masker()).data[0, 2, 0] == found[1].data[0, 2]


def test_weights_of_maps():
    """A masker of overlapping maps fits its weights to the one volume."""
    maps = np.stack([atlas_data() == i + 1 for i in range(4)], axis=-1).astype(np.float32)
    (beta,) = make_betas(1)
    masker = NiftiMapsMasker(Nifti1Image(maps, AFFINE), reports=False)
    naive, *_ = np.linalg.lstsq(maps.reshape(-1, 4), beta.get_fdata().ravel(), rcond=None)
    found = silent(from_nifti, beta, masker=masker)
    np.testing.assert_allclose(found.data[0, :, 0], naive, atol=1e-5)


def test_a_run_stays_a_run():
    (run, beta) = open_samples([make_image(), make_betas(1)[0]])
    assert run.read(slice(0, 1)).shape[2] == 40 and run.n_samples == beta.n_samples == 1
    with pytest.raises(ValueError, match=r"1 volume.*iter_img"):
        from_nifti(Nifti1Image(np.ones((*SHAPE, 1), np.float32), AFFINE))


def test_classifier_uses_region_values_alone(micro_checkpoint):
    """Latents and correlations are left out; a fitted decoder keeps that choice."""
    betas = make_betas()
    decoder = classifier(micro_checkpoint).fit(betas[:16], LABELS[:16])
    assert list(decoder.feature_weights_) == ["evoked"]
    assert (decoder.predict(betas[16:]) == LABELS[16:]).mean() > 0.8
    again = pickle.loads(pickle.dumps(decoder))
    np.testing.assert_array_equal(again.predict_proba(betas), decoder.predict_proba(betas))
    alone = decoder.predict_proba([betas[17]])
    np.testing.assert_allclose(alone, decoder.predict_proba(betas[16:])[[1]], atol=1e-6)
    with pytest.raises(ValueError, match="'evoked', which the decoder uses, does not apply"):
        decoder.predict([make_image()])


def test_choice_of_features_is_kept_as_json(micro_checkpoint):
    """What is saved with a decoder gives the same columns again."""
    encoder = Encoder(micro_checkpoint, features="auto", pooling="mean", masker=make_masker())
    rows = encoder.embed(make_betas(3))
    other = Encoder(micro_checkpoint, features="auto", pooling="mean", masker=make_masker())
    other = other.with_explicit(
        other.explicit.with_state(json.loads(json.dumps(encoder.explicit.state())))
    )
    assert other.feature_names() == encoder.feature_names()
    assert len(other.feature_names()) == rows.shape[1] == 2 * N_REGIONS
    np.testing.assert_array_equal(other.embed(make_betas(3)), rows)


def test_what_does_not_apply(tmp_path, micro_checkpoint):
    betas = make_betas(8)
    options = {"masker": make_masker(), "pooling": "mean"}
    with pytest.raises(ValueError, match="maps of one volume.*features='auto'"):
        BrainOFEmbedder(micro_checkpoint, **options).fit_transform(betas)
    with pytest.raises(ValueError, match=r"maps of one volume.*probe"):
        classifier(micro_checkpoint, adaptation="full").fit(betas, LABELS[:8])
    with pytest.raises(ValueError, match="map.*confounds are for runs"):
        from_nifti(betas[0], masker=make_masker(), confounds=np.ones((1, 1)))
    with pytest.raises(ValueError, match="map.*trials are cut out of runs"):
        events = pd.DataFrame({"onset": [1.0], "duration": [1.0], "trial_type": ["a"]})
        epochs_from_nifti(betas[0], events, masker=make_masker())
    with pytest.raises(ValueError, match="all voxels are zero"):
        from_nifti(Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), masker=make_masker())
    save_image(tmp_path / "in" / "beta.nii.gz", betas[0])
    with warnings.catch_warnings(), pytest.raises(ValueError, match="map of one volume"):
        warnings.simplefilter("ignore")
        build_corpus([tmp_path / "in" / "beta.nii.gz"], tmp_path / "corpus", masker=make_masker())
