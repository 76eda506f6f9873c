"""Terms beside reconstruction: their targets, batches, losses, steps, checkpoints."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from fakes import MICRO, TRAINING, what_is_saved
from scipy.linalg import logm
from scipy.signal.windows import tukey

from brainof_toolbox import Signals
from brainof_toolbox.features import BAND_BANK, Covariance, VirtualChannels
from brainof_toolbox.models import BrainOF, BrainOFConfig, load_checkpoint
from brainof_toolbox.models.moe import RoutingRecord
from brainof_toolbox.pretraining import Corpus, PretrainingConfig, pretrain
from brainof_toolbox.pretraining.batch import to_tokens
from brainof_toolbox.pretraining.curves import plot_run
from brainof_toolbox.pretraining.loader import TermReader
from brainof_toolbox.pretraining.sampler import Mates, Sampler
from brainof_toolbox.pretraining.statistics import components, fit_statistics
from brainof_toolbox.pretraining.targets import LINES, Targets
from brainof_toolbox.pretraining.terms import (
    OUTPUTS,
    TERMS,
    smoothing_bins,
    term_losses,
    terms_of,
    with_read_outs,
)

ALL = dict.fromkeys(TERMS, 1.0)
SMALL_TERMS = {
    **TRAINING,
    "max_tokens_per_microbatch": 4096,
    "terms": ALL,
    "term_places": 4,
    "term_regions": 6,
    "term_samples": 12,
    "augmentation": {"min_duration": 1.0, "enriched": 0.5},
    "ema_decay": 0.9,
}


@pytest.fixture(scope="module")
def corpus(small_corpus):
    return Corpus(small_corpus)


@pytest.fixture(scope="module")
def training():
    return PretrainingConfig.from_dict(SMALL_TERMS)


def pretrain_terms(corpus, folder, total_steps=6, training=None, **options):
    return pretrain(
        corpus,
        folder,
        config=MICRO,
        device="cpu",
        total_steps=total_steps,
        training={**SMALL_TERMS, **(training or {})},
        **options,
    )


def of_kind(corpus, modality, n=4):
    return [corpus[int(i)] for i in np.flatnonzero(corpus.modality == modality)[:n]]


# --------------------------------------------------------------------------------- targets


def as_signals(sample, kind):
    names = ("eeg", "mag", "grad", "bold")
    return Signals(
        data=sample.data[None],
        sfreq=sample.sfreq,
        modality=kind,
        ch_names=[str(i) for i in range(len(sample.data))],
        ch_types=[names[t] for t in sample.sensor_type],
        ch_pos=sample.position,
        ch_ori=sample.orientation,
    )


@pytest.mark.parametrize("modality, kind", list(enumerate(("eeg", "meg", "fmri"))))
def test_second_order_is_the_feature(corpus, training, modality, kind):
    sample = of_kind(corpus, modality)[-1]
    feature = Covariance(n_channels=4, n_regions=6).compute(as_signals(sample, kind))[0]
    assert np.array_equal(Targets(training).second_order(sample), feature)


def test_targets_equal_naive_twins(corpus, training):
    sample = of_kind(corpus, 0)[0]
    targets = Targets(training)
    x = VirtualChannels(4).weights(as_signals(sample, "eeg")) @ sample.data.astype(float)
    n_times = x.shape[1]
    x = x - x.mean(1, keepdims=True)
    taper = tukey(n_times, 0.2, sym=False)
    spectrum = np.fft.fft(x * taper, axis=1) / np.sqrt((taper**2).sum())
    freqs = np.fft.fftfreq(n_times, 1 / sample.sfreq)
    wanted = []
    for low, high in LINES:
        of_line = (np.abs(freqs) >= low) & (np.abs(freqs) < high)
        wanted.append(np.log((np.abs(spectrum[:, of_line]) ** 2).sum(1) / n_times + 1e-5))
    found = targets.fine_spectrum(sample).reshape(4, len(LINES))
    assert np.allclose(found, np.transpose(wanted), atol=1e-3)
    low, high = BAND_BANK[1]
    part = spectrum[:, (np.abs(freqs) >= low) & (np.abs(freqs) < high)]
    covariance = (part @ part.conj().T).real / n_times
    log = logm(covariance + 0.05 * np.trace(covariance) / 4 * np.eye(4))
    row = targets.second_order(sample).reshape(len(BAND_BANK), 10)[1]
    i, j = np.triu_indices(4)
    assert np.allclose(row, log[i, j] * np.where(i == j, 1, 2**0.5), atol=1e-3)


def test_course_is_the_signal_at_the_places(corpus, training):
    sample = of_kind(corpus, 1)[0]
    course = Targets(training).course(sample)
    weights = VirtualChannels(4).weights(as_signals(sample, "meg"))
    assert np.allclose(course.data, weights @ sample.data, atol=1e-5)
    assert np.allclose(np.linalg.norm(course.orientation, axis=1), 1)
    bins = smoothing_bins(32)
    assert torch.allclose(bins.sum(1), torch.ones(8)) and bins.argmax(1).diff().eq(4).all()


def test_a_rate_too_low_is_named(corpus, training):
    sample = of_kind(corpus, 0)[0]._replace(sfreq=80.0)
    with pytest.raises(ValueError, match="rate of 80 Hz; terms up to 45.5 Hz need at least 91"):
        Targets(training).fine_spectrum(sample)


# --------------------------------------------------------------------- statistics and pairs


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_components_are_scaled_principal_axes(shape):
    rows = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    found = components(rows, 5, 0.25)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    for column, value, vector in zip(found.T, values[::-1], vectors.T[::-1], strict=False):
        cosine = column @ vector / np.linalg.norm(column)
        assert abs(abs(cosine) - 1) < 1e-9
        ratio = np.linalg.norm(column) / np.linalg.norm(found[:, 0])
        assert ratio == pytest.approx((value / values[-1]) ** -0.25)
    assert np.mean((rows @ found) ** 2) == pytest.approx(1)


def test_statistics_of_a_corpus(corpus, training):
    config = with_read_outs(BrainOFConfig(**MICRO), training, corpus)
    model = BrainOF(config)
    targets = Targets(training)
    means = fit_statistics(model, corpus, targets, 1000, 0)
    eeg = np.stack([targets.second_order(s) for s in of_kind(corpus, 0, None)])
    read_out = model.read_outs["eeg"]["second_order"]
    # All samples were drawn once, and mates beside them.
    assert np.allclose(read_out.mean, eeg.mean(0), atol=0.3 * eeg.std(0).max())
    projected = read_out.project(torch.from_numpy(eeg))[:, read_out.components.any(0)]
    assert 0.5 < projected.square().mean() < 2
    assert means.shape == (len(corpus.datasets), 15)
    assert not means[corpus.datasets.index("first")].any()
    again = BrainOF(config)
    fit_statistics(again, corpus, Targets(training), 1000, 0)
    for name, tensor in model.state_dict().items():
        assert tensor.equal(again.state_dict()[name]), name


def test_mates_are_others_of_the_same_person():
    person = np.array([3, 1, 3, 1, 3, 2, 9])
    indices = np.array([0, 1, 2, 4, 5])
    mates, rng = Mates(person, indices), np.random.default_rng(0)
    drawn = np.stack([mates.draw(indices, rng) for _ in range(300)])
    assert set(drawn[:, 0]) == {2, 4} and set(drawn[:, 2]) == {0, 4} and set(drawn[:, 3]) == {0, 2}
    assert set(drawn[:, 1]) == {1} and set(drawn[:, 4]) == {5}  # no other in the set
    assert 100 < (drawn[:, 0] == 2).sum() < 200


def test_persons_of_a_corpus(corpus):
    of_entry = {}
    for number, entry in zip(corpus.person, map(corpus.entry_of, range(len(corpus))), strict=True):
        of_entry.setdefault(int(number), set()).add((entry.dataset, entry.subject))
    assert all(len(names) == 1 for names in of_entry.values()) and len(of_entry) == 6


def test_plan_of_steps_on_terms(corpus, training):
    plain = Sampler(corpus, PretrainingConfig.from_dict(TRAINING), patch_size=32)
    assert not any(plain.asks_terms(step) for step in range(50))
    sampler = Sampler(corpus, training, patch_size=32)
    asked = [step for step in range(300) if sampler.asks_terms(step)]
    assert 200 < len(asked) < 280
    for step in asked[:20]:
        for indices in sampler.plan(step):
            assert len(indices) % 2 == 0
            assert np.array_equal(corpus.person[indices[0::2]], corpus.person[indices[1::2]])
            assert set(indices) <= set(sampler.bucket(step).indices)


# ---------------------------------------------------------------------------------- losses


def batch_of(corpus, training, modality, seed=0):
    sampler = Sampler(corpus, training, patch_size=32, random_state=seed)
    reader = TermReader(corpus, training, 32, seed)
    for step in range(300):
        if sampler.asks_terms(step) and sampler.bucket(step).modality == modality:
            return reader(step, 0, sampler.plan(step)[0])
    raise AssertionError("no such step")


@pytest.fixture(scope="module")
def fitted(corpus, training):
    """A network of three groups that do not overlap, with statistics, and the dataset means."""
    model = BrainOF(with_read_outs(BrainOFConfig(**MICRO), training, corpus))
    means = fit_statistics(model, corpus, Targets(training), 40, 0)
    with torch.no_grad():
        for kind in model.read_outs.values():
            for read_out in kind.values():
                read_out.weight.normal_(generator=torch.Generator().manual_seed(0))
    return model, means


@pytest.mark.parametrize("modality, kind", list(enumerate(("eeg", "meg", "fmri"))))
def test_targets_of_a_batch_are_those_of_its_samples(corpus, training, modality, kind):
    plain = dataclasses.replace(training, augmentation={"min_duration": 1.0, "enriched": 0.0})
    batch = batch_of(corpus, plain, modality)
    samples = [corpus[int(i)] for i in batch.grid.index]
    rows = np.stack([Targets(training).second_order(s) for s in samples])
    assert np.array_equal(rows, batch.second_order)
    always = dataclasses.replace(training, augmentation={"min_duration": 1.0, "enriched": 1.0})
    changed = batch_of(corpus, always, modality)
    assert changed.grid.index.equal(batch.grid.index)
    assert not np.allclose(rows, changed.second_order, atol=0.01)


@pytest.mark.parametrize("modality, kind", list(enumerate(("eeg", "meg", "fmri"))))
def test_losses_equal_a_naive_twin(corpus, training, fitted, modality, kind):
    model, means = fitted
    batch = batch_of(corpus, training, modality)
    losses, change = term_losses(model, batch, training, means, RoutingRecord())
    assert set(losses) == set(OUTPUTS[kind]) == set(terms_of(training, modality))
    rows = batch.second_order.numpy()
    assert change.shape == model.latents.shape
    tokens = to_tokens(batch.grid, patch_size=32)
    tokens.is_padding |= batch.is_dropped.flatten(1)
    moved = model.change(model(tokens)).double().detach().numpy()
    groups = model.config.latent_groups
    for name in ("second_order", "difference"):
        read_out = model.read_outs[kind][name]
        part = {key: t.double().detach().numpy() for key, t in read_out.state_dict().items()}
        own = 8 * moved[:, groups.index(name) :: len(groups)]
        flat = own.reshape(len(own), -1)
        inputs = np.hstack([own.mean(1), flat * 4 / np.sqrt(flat.shape[1])])
        found = inputs @ part["weight"].T + part["bias"]
        if name == "second_order":
            shift = means.numpy()[batch.dataset] if kind == "fmri" else part["mean"]
            wanted = ((rows - shift) / part["scale"]).clip(-10, 10) @ part["components"]
            loss = np.mean((found - wanted) ** 2)
        else:
            found = (found[0::2] - found[1::2]) / 2**0.5
            wanted = ((rows[0::2] - rows[1::2]) / part["scale"]).clip(-10, 10)
            error = ((found - wanted @ part["components"] / 2**0.5) ** 2).mean(1)
            index = batch.grid.index.numpy()
            is_pair = index[0::2] != index[1::2]
            loss = error[is_pair].mean() if is_pair.any() else 0.0
        assert losses[name].item() == pytest.approx(loss, rel=1e-3)


def test_gradient_reaches_the_own_read_out_only(corpus, training, fitted):
    model, means = fitted
    batch = batch_of(corpus, training, 0)
    groups = model.config.latent_groups
    for name in TERMS:
        model.zero_grad()
        losses, _ = term_losses(model, batch, training, means, RoutingRecord())
        losses[name].backward()
        moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        own = {n for n in moved if n.startswith("read_outs.")}
        # The bias of a difference is the same in both samples of a pair.
        parts = ("weight",) if name == "difference" else ("weight", "bias")
        wanted = {f"read_outs.eeg.{name}.{part}" for part in parts}
        assert own == (set() if name == "course" else wanted)
        assert ("patch.weight" in moved) == (name == "course")
    # What is predicted depends on the own latents alone.
    latents = torch.randn(2, *model.latents.shape, generator=torch.Generator().manual_seed(1))
    latents.requires_grad_()
    sizes = model.read_out_sizes("eeg")
    assert list(sizes) == ["second_order", "difference", "fine_spectrum"]
    first = 0
    for name, size in sizes.items():
        found = model.read_out(latents, "eeg")[:, first : first + size].sum()
        (slope,) = torch.autograd.grad(found, latents)
        is_read = slope.abs().sum((0, 2)) > 0
        wanted = torch.zeros(len(is_read), dtype=torch.bool)
        wanted[groups.index(name) :: len(groups)] = True
        assert is_read.equal(wanted)
        first += size


def test_decoder_reads_all_latents(corpus, training, fitted):
    """The network with groups decodes like the same one without."""
    model, _ = fitted
    queries = to_tokens(batch_of(corpus, training, 0).places, patch_size=32)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(len(queries), *model.latents.shape, generator=generator)
    latents.requires_grad_()
    values = model.decode(latents, queries)
    (slope,) = torch.autograd.grad(values.square().sum(), latents)
    assert (slope.abs().sum((0, 2)) > 0).all()
    plain = BrainOF(BrainOFConfig(**MICRO))
    own = model.state_dict()
    plain.load_state_dict({name: own[name] for name in plain.state_dict()})
    assert plain.decode(latents, queries).equal(values)


def test_decoder_reads_one_group(corpus, training):
    """Where the configuration states it, other latents change nothing."""
    config = with_read_outs(BrainOFConfig(**MICRO), training, corpus)
    model = BrainOF(dataclasses.replace(config, decoder_reads_group=True))
    queries = to_tokens(batch_of(corpus, training, 0).places, patch_size=32)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(len(queries), *model.latents.shape, generator=generator)
    groups = model.config.latent_groups
    for group in ("reconstruction", "course"):
        kept = torch.zeros(len(model.latents), 1, dtype=torch.bool)
        kept[groups.index(group) :: len(groups)] = True
        values = model.decode(latents, queries, group=group)
        others = torch.where(kept, latents, latents + 1)
        assert torch.allclose(model.decode(others, queries, group=group), values)
        assert not torch.allclose(model.decode(latents + 1, queries, group=group), values)
    with pytest.raises(ValueError, match="no group of latents 'rest'.*reconstruction"):
        model.decode(latents, queries, group="rest")


def test_modalities_without_terms_are_reconstructed(corpus):
    """They have no read-outs, and no step on terms; the others keep theirs."""
    chosen = PretrainingConfig(**{**SMALL_TERMS, "term_modalities": ["eeg", "meg"]})
    assert chosen.term_modalities == ("eeg", "meg")
    assert PretrainingConfig.from_dict(chosen.to_dict()) == chosen
    assert [bool(terms_of(chosen, m)) for m in range(3)] == [True, True, False]
    config = with_read_outs(BrainOFConfig(**MICRO), chosen, corpus)
    assert {row[0] for row in config.read_outs} == {"eeg", "meg"}
    every = with_read_outs(BrainOFConfig(**MICRO), PretrainingConfig(**SMALL_TERMS), corpus)
    assert config.latent_groups == every.latent_groups
    assert config.read_outs == tuple(row for row in every.read_outs if row[0] != "fmri")
    sampler = Sampler(corpus, chosen, patch_size=32)
    asked = {sampler.bucket(step).modality for step in range(300) if sampler.asks_terms(step)}
    assert asked == {0, 1}


def test_a_corpus_without_modalities_of_terms_trains(corpus, tmp_path):
    part = corpus.select(modalities=["fmri"])
    last = pretrain_terms(part, tmp_path, 2, {"term_modalities": ["eeg", "meg"]})
    assert load_checkpoint(last).model.config.read_outs == ()


# ------------------------------------------------------------------------------------ runs


@pytest.fixture(scope="module")
def straight(corpus, tmp_path_factory):
    return pretrain_terms(corpus, tmp_path_factory.mktemp("terms") / "run")


def test_resumed_run_is_the_same(corpus, straight, tmp_path):
    for number, stop in enumerate((1, 4)):
        pretrain_terms(corpus, tmp_path, stop_after=stop, resume=number > 0)
    last = pretrain_terms(corpus, tmp_path, resume=True, training={"n_workers": 1})
    assert what_is_saved(last) == what_is_saved(straight)


def test_a_run_begins_with_given_weights(corpus, straight, tmp_path):
    """Weights, targets and subjects are those of the checkpoint; the run can be resumed."""
    part, options = corpus.select(modalities=["eeg", "meg", "fmri"]), {"start": straight}
    options["training"] = {"learning_rate": 1e-12, "term_samples": 4}
    last = pretrain_terms(part, tmp_path / "run", 2, stop_after=1, **options)
    last = pretrain_terms(part, tmp_path / "run", 2, resume=True, **options)
    before, after = (load_checkpoint(path) for path in (straight, last))
    old, new = before.model.state_dict(), after.model.state_dict()
    for name, tensor in old.items():
        is_followed = name.endswith(("usual", "n_followed"))
        assert is_followed or torch.allclose(tensor, new[name], atol=1e-6), name
    assert after.manifest["start"] == before.sha256
    assert set(after.manifest["subjects"]) == set(before.manifest["subjects"])
    with pytest.raises(ValueError, match="'start' differs.* in latent_groups"):
        pretrain_terms(corpus, tmp_path / "x", start=straight, training={"terms": {}})


def test_a_run_begins_without_read_outs_it_does_not_have(corpus, straight, tmp_path):
    options = {"training": {"learning_rate": 1e-12, "term_samples": 4}, "start": straight}
    options["training"]["term_modalities"] = ["eeg", "meg"]
    last = pretrain_terms(corpus, tmp_path / "fewer", 1, **options)
    before, after = (load_checkpoint(path).model for path in (straight, last))
    assert set(after.read_outs) == {"eeg", "meg"} < set(before.read_outs)
    weight = before.read_outs["eeg"]["difference"].weight
    assert torch.allclose(after.read_outs["eeg"]["difference"].weight, weight, atol=1e-6)
    with pytest.raises(ValueError, match="'start' differs.* in read_outs"):
        pretrain_terms(corpus, tmp_path / "more", 1, start=last)


def test_a_run_lists_its_terms(corpus, straight):
    run = json.loads((straight.parents[1] / "run.json").read_text())
    assert run["training"]["terms"] == ALL
    lines = (straight.parents[1] / "log.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    seen = {name for line in map(json.loads, lines) for name in line["n_steps"]}
    assert seen & {"eeg terms", "meg terms", "fmri terms"}
    assert set(line["second_order"]) <= {"eeg terms", "meg terms", "fmri terms"}
    assert "change" not in line
    assert plot_run(straight.parents[1]).is_file()
    objective = load_checkpoint(straight).manifest["objective"]
    assert "not part of the published method" in objective and "fine_spectrum" in objective


def test_checkpoint_holds_the_read_outs(corpus, straight):
    model = load_checkpoint(straight).model
    assert model.config.latent_groups == (*TERMS, "reconstruction")
    read_out = model.read_outs["eeg"]["second_order"]
    assert read_out.components.any() and read_out.usual.any() and read_out.weight.any()
    latents = torch.randn(3, *model.latents.shape, generator=torch.Generator().manual_seed(0))
    rows = model.read_out(latents, "eeg")
    assert rows.shape == (3, sum(model.read_out_sizes("eeg").values()))
    one = model.read_out(latents[1:2], "eeg")
    assert torch.allclose(one, rows[1:2], atol=1e-5)  # a row depends on its own sample
    size = model.read_out_sizes("eeg")["second_order"]
    assert torch.allclose(rows[:, :size], read_out(model.change(latents)) / size**0.5)


# -------------------------------------------------------------------------------- refusals


def test_read_outs_and_weights_that_do_not_go_together(straight, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(straight, folder)
    content = json.loads((folder / "config.json").read_text())
    rows = content["architecture"]["read_outs"]
    for changed, words in (
        ([], "unexpected tensors 'read_outs"),
        ([*rows[:-1], [*rows[-1][:2], 99, 2]], "has shape .* the model needs"),
        ([*rows[:-1], [*rows[-1][:3], 999]], "read_outs"),
    ):
        content["architecture"]["read_outs"] = changed
        (folder / "config.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=words):
            load_checkpoint(folder)


def test_nothing_changes_in_descriptions_without_terms():
    assert not {"terms", "term_share", "augmentation"} & set(PretrainingConfig().to_dict())
    assert "read_outs" not in BrainOFConfig().to_dict()
    config = PretrainingConfig.from_dict(SMALL_TERMS)
    assert PretrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"terms": {"rhythm": 1.0}}, "second_order"),
        ({"terms": {"course": -1.0}}, "course"),
        ({"terms": ["course"]}, "weights by name"),
        ({"term_share": 0.0}, "term_share"),
        ({"term_places": 33}, "term_places"),
        ({"term_modalities": ["ecog"]}, "term_modalities.*'eeg', 'meg'"),
        ({"term_modalities": "eeg"}, "term_modalities"),
        ({"augmentation": {"noise": -0.1}}, "noise"),
        ({"augmentation": {"flip": 1}}, "flip"),
    ],
)
def test_nonsense_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        PretrainingConfig(**fields)


def test_network_and_terms_that_do_not_go_together(corpus, training):
    groups = {"latent_groups": ("second_order", "reconstruction")}
    config = BrainOFConfig(**MICRO, **groups, read_outs=(("eeg", "second_order", 9, 3),))
    with pytest.raises(ValueError, match="follow from PretrainingConfig.terms"):
        with_read_outs(config, PretrainingConfig(), corpus)
    with pytest.raises(ValueError, match="at most n_latents = 4"):
        with_read_outs(BrainOFConfig(**{**MICRO, "n_latents": 4}), training, corpus)
    model = BrainOF(BrainOFConfig(**MICRO))
    with pytest.raises(ValueError, match="no read-outs of eeg; it has those of no modality"):
        model.read_out(torch.zeros(1, *model.latents.shape), "eeg")
    with pytest.raises(ValueError, match=r"latents must have shape \(B, 8, 16\)"):
        BrainOF(config).read_out(torch.zeros(1, 7, 16), "eeg")


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"latent_groups": ("a", "a")}, "different names"),
        ({"latent_groups": ("a",), "decoder_reads_group": True}, "with 'reconstruction'"),
        ({"decoder_reads_group": "yes"}, "decoder_reads_group"),
        ({"latent_groups": ("a b",)}, "different names"),
        ({"latent_groups": "reconstruction"}, "latent_groups"),
        ({"read_outs": (("eeg", "a", 3, 3),)}, "read_outs"),
        ({"read_outs": (("eeg", "reconstruction", 3, 4),)}, "read_outs"),
        ({"read_outs": (("eeg", "reconstruction", 3, 2),) * 2}, "each modality and group once"),
        ({"read_outs": (("eeg", "reconstruction", 999, 513),)}, "at most 512"),
        ({"read_outs": (("ecog", "reconstruction", 3, 2),)}, "read_outs"),
        ({"read_outs": (3,)}, "rows of modality"),
    ],
)
def test_nonsense_shapes_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        BrainOFConfig(**{"latent_groups": ("reconstruction",), **fields})
