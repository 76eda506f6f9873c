"""The loop against one written out; what it refuses; what it leaves for the estimators."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from fakes import MICRO, SMALL, TRAINING, FakeCorpus, pretrain_micro, what_is_saved

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder
from brainof_toolbox.models import BrainOF, BrainOFConfig, load_checkpoint
from brainof_toolbox.pretraining import PretrainingConfig, latest_checkpoint, pretrain
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.objective import Objective
from brainof_toolbox.pretraining.optim import parameter_groups
from brainof_toolbox.pretraining.sampler import Sampler, mask_generator


def _naive(n_steps, training):
    """Pretrain with every formula written out: no groups, no accumulation, no optimizer."""
    corpus, config = FakeCorpus(SMALL), PretrainingConfig.from_dict(training)
    model = BrainOF(BrainOFConfig.from_dict(MICRO), 0)
    objective = Objective(model, config)
    sampler = Sampler(corpus, config, patch_size=32)
    groups = [group for group in parameter_groups(model, 0.1) if group["weight_decay"]]
    has_decay = {id(p) for group in groups for p in group["params"]}
    parameters = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    average = [p.detach().clone() for p in parameters]
    losses = []
    for step in range(n_steps):
        loss = 0
        for number, indices in enumerate(sampler.plan(step)):
            grid = GridBatch.collate([corpus[i] for i in indices])
            masks = draw_masks(grid, config, mask_generator(0, step, number), 32)
            loss = loss + objective(grid, masks)["loss"] / config.n_microbatches
        gradient = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradient))
        losses.append((loss.item(), norm))
        rate = config.learning_rate * min(1, (step + 1) / 3)
        if step >= 3:
            angle = math.pi * (step + 1 - 3) / (n_steps - 3)
            rate *= 0.01 + 0.99 * (1 + math.cos(angle)) / 2
        with torch.no_grad():
            for p, g, m, v, a in zip(parameters, gradient, first, second, average):
                g = g * min(1, config.max_grad_norm / (norm + 1e-6))
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.95).add_(0.05 * g**2)
                if id(p) in has_decay:
                    p.mul_(1 - rate * config.weight_decay)
                down = (v / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8
                p.sub_(rate * m / (1 - 0.9 ** (step + 1)) / down)
                decay = min(config.ema_decay, (1 + step) / (10 + step))
                a.copy_(decay * a + (1 - decay) * p)
    return model, dict(zip(dict(model.named_parameters()), average)), losses


@pytest.fixture(scope="module")
def six_steps(tmp_path_factory):
    """A run of six steps whose gradients are clipped, with a moving average."""
    training = {**TRAINING, "ema_decay": 0.5, "max_grad_norm": 0.05, "log_every": 1}
    path = pretrain_micro(tmp_path_factory.mktemp("run") / "six", 6, training=training)
    return path, training


def test_loop_equals_the_one_written_out(six_steps):
    """Order, accumulation, clipping, AdamW, learning rate and average."""
    path, training = six_steps
    model, average, losses = _naive(6, training)
    for name, tensor in load_checkpoint(path).model.state_dict().items():
        # 1e-5: a weight moves by 1e-3 per step, in whichever order its gradient was summed.
        assert torch.allclose(tensor, model.state_dict()[name], atol=1e-5), name
    import safetensors.torch

    state = safetensors.torch.load_file(path / "training.safetensors")
    for name, tensor in average.items():
        assert torch.allclose(state[f"ema.model.{name}"], tensor, atol=1e-5), name
    lines = what_is_saved(path)[3]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    logged = [(sum(line["loss"].values()), line["gradient_norm"]) for line in lines]
    assert np.allclose(logged, losses, rtol=1e-4)
    assert max(norm for _, norm in losses) > training["max_grad_norm"]


def test_recomputing_activations_changes_nothing(six_steps, tmp_path):
    path, training = six_steps
    other = pretrain_micro(tmp_path, 6, training={**training, "checkpoint_activations": True})
    assert what_is_saved(other)[0] == what_is_saved(path)[0]


@pytest.mark.slow
def test_compiled_equals_eager(tmp_path):
    """Samples of one shape, as each other shape would be compiled for a minute more."""
    corpus = FakeCorpus([("eeg", 4, 128, 6)])
    eager, compiled = (
        pretrain_micro(tmp_path / str(flag), 3, corpus=corpus, training={"compile": flag})
        for flag in (False, True)
    )
    model = load_checkpoint(eager).model.state_dict()
    for name, tensor in load_checkpoint(compiled).model.state_dict().items():
        assert torch.allclose(tensor, model[name], atol=1e-4), name


def test_nothing_global_is_touched(tmp_path, global_rng_untouched):
    """Global numpy/torch/python RNG: not consumed nor reseeded."""
    before = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    others = psutil.Process().children(recursive=True)  # joblib keeps its processes for a while
    pretrain_micro(tmp_path, 2, training={"n_workers": 1})
    assert set(psutil.Process().children(recursive=True)) <= set(others)
    assert before == (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
    )  # fmt: skip


def test_half_precision_warns_on_a_cpu_and_learns(tmp_path):
    with pytest.warns(RuntimeWarning, match="bf16.*slow"):
        path = pretrain_micro(tmp_path, 2, training={"precision": "bf16"})
    for tensor in load_checkpoint(path).model.state_dict().values():
        assert tensor.dtype == torch.float32 and tensor.isfinite().all()


def test_pieces_that_a_process_has_not_change_the_mean_only():
    """A step with twice the micro-batches of half the samples is the same where all are alike."""
    corpus = FakeCorpus([("eeg", 4, 128, 8)])
    one, two = (
        PretrainingConfig(max_tokens_per_microbatch=16 * 8 // n, n_microbatches=n, temperature=1.0)
        for n in (1, 2)
    )
    plans = [np.concatenate(Sampler(corpus, c, patch_size=32).plan(0)) for c in (one, two)]
    assert np.array_equal(*plans)


# --------------------------------------------------------------------------- for the estimators


def test_manifest_says_what_went_in(six_steps):
    path, training = six_steps
    manifest = load_checkpoint(path).manifest
    assert manifest["datasets"] == ["fake-eeg", "fake-fmri", "fake-meg"]
    assert manifest["subjects"] == ["a" * 64, "b" * 64]
    assert manifest["licence"] == "CC0-1.0, PDDL"
    assert (manifest["steps"], manifest["seed"]) == (6, 0)
    assert manifest["corpus"] == FakeCorpus(SMALL).sha256
    assert manifest["training"]["max_grad_norm"] == training["max_grad_norm"]
    assert manifest["training"]["total_steps"] == 6


def test_licences_that_nobody_knows_are_not_passed_over(tmp_path):
    corpus = FakeCorpus(SMALL)
    corpus.entries = (*corpus.entries, SimpleNamespace(licence=None))
    path = pretrain_micro(tmp_path, 1, corpus=corpus)
    assert load_checkpoint(path).manifest["licence"] == "CC0-1.0, PDDL, unknown"


def test_weights_shown_are_the_average_when_asked(tmp_path):
    import safetensors.torch

    training = {"ema_decay": 0.5, "save_average": True}
    path = pretrain_micro(tmp_path, 3, training=training)
    state = safetensors.torch.load_file(path / "training.safetensors")
    model = load_checkpoint(path).model.state_dict()
    assert not any(name.startswith("ema.") for name in state)
    differ = [not tensor.equal(state[f"weights.model.{name}"]) for name, tensor in model.items()]
    assert any(differ)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_estimators_load_it_and_know_its_subjects(small_corpus, tmp_path, eeg_study):
    """And preprocessing travels along."""
    from brainof_toolbox.evaluation import cross_validate

    path = pretrain_micro(
        tmp_path, 2, corpus=small_corpus, config={**MICRO, "patch_size": 64}, training={}
    )
    rows = BrainOFEmbedder(path, pooling="mean").fit_transform(eeg_study)
    assert rows.shape[0] == len(eeg_study) and np.isfinite(rows).all()
    subjects = np.array([f"sub-first-{int(s) + 1:02d}" for s in eeg_study.metadata["subject"]])
    study = eeg_study.copy()
    study.metadata = study.metadata.assign(subject=subjects)
    with pytest.warns(RuntimeWarning, match=r"test subject\(s\) may have been in the corpus"):
        cross_validate(
            BrainOFClassifier(path, pooling="mean"),
            study,
            study.events[:, 2],
            groups=subjects,
        )


# ----------------------------------------------------------------------------------- bad numbers


class Spoilt(FakeCorpus):
    """Holds one sample that no network can bear."""

    def __init__(self, index, factor):
        super().__init__(SMALL)
        self.index, self.factor = index, factor

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        scale = np.float32(self.factor if index == self.index else 1)
        with np.errstate(over="ignore"):
            return SimpleNamespace(**{**vars(sample), "data": sample.data * scale})


@pytest.mark.parametrize("factor", [np.nan, np.inf, 3e38])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path, factor):
    """The checkpoint is that of the steps before, and the message names the batch."""
    sampler = Sampler(FakeCorpus(SMALL), PretrainingConfig.from_dict(TRAINING), patch_size=32)
    plans = [np.concatenate(sampler.plan(step)) for step in range(12)]
    step = next(n for n, plan in enumerate(plans[1:], 1) if plan[0] in range(16, 24))  # MEG
    bad = next(i for i in plans[step] if i not in np.concatenate(plans[:step]))
    corpus = Spoilt(bad, factor)
    with pytest.raises(RuntimeError, match="not finite|is nan|is inf") as caught:
        pretrain_micro(tmp_path / "bad", corpus=corpus)
    message = str(caught.value)
    assert f"step {step + 1}:" in message and "modality meg, datasets fake-meg" in message
    assert f"step-{step:08d}" in message
    guilty = set(map(int, message.split("samples ")[1].split(" of the corpus")[0].split(", ")))
    assert bad in guilty and guilty <= set(plans[step].tolist())
    saved = latest_checkpoint(tmp_path / "bad")
    good = pretrain_micro(tmp_path / "good", stop_after=step)
    assert saved.name == f"step-{step:08d}"
    assert what_is_saved(saved)[0] == what_is_saved(good)[0]


def test_a_spike_stops_and_may_be_let_through(tmp_path):
    """It does after ten steps of the modality, and not when ``spike`` is larger."""

    class Late(FakeCorpus):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            if sum(self.n_read.values()) > 2 * 2 * 20:
                sample.data = sample.data * np.float32(1000)
            return sample

    shapes, training = (
        [("eeg", 4, 128, 6)],
        {"max_tokens_per_microbatch": 32, "learning_rate": 1e-5},
    )
    with pytest.raises(RuntimeError, match="step 21: the loss is .* more than 10 times"):
        pretrain_micro(tmp_path, 24, corpus=Late(shapes), training=training)
    assert latest_checkpoint(tmp_path).name == "step-00000020"
    training["max_loss_ratio"] = 1e9
    path = pretrain_micro(tmp_path, 24, corpus=Late(shapes), training=training, resume=True)
    assert path.name == "step-00000024"


# ------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "options, words",
    [
        ({"total_steps": 0}, "total_steps"),
        ({"save_every": 0}, "save_every"),
        ({"stop_after": 13}, "stop_after.*at most 12"),
        ({"random_state": -1}, "random_state"),
        ({"resume": "yes"}, "resume"),
        ({"verbose": "loud"}, "verbose"),
        ({"config": "enormous"}, "'tiny'.*'giant'"),
        ({"config": {"no_such_field": 3}}, "no_such_field"),
        ({"config": {"preset": "none"}}, "preset"),
        ({"training": {"clop": 3}}, "clop.*Known keys are.*max_grad_norm"),
        ({"training": {"frequency_weight": 2}}, "frequency_weight"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        pretrain_micro(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_other_types_are_refused(tmp_path):
    with pytest.raises(TypeError, match="'config' must be.*got int"):
        pretrain_micro(tmp_path, config=3)
    with pytest.raises(TypeError, match="'training' must be.*got str"):
        pretrain(FakeCorpus(SMALL), tmp_path, total_steps=1, training="fast")
    with pytest.raises(TypeError, match="total_steps"):
        pretrain_micro(tmp_path, total_steps=1.5)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pretrain_micro(tmp_path / "run", corpus=tmp_path / "nowhere")


def test_a_preset_may_be_changed(tmp_path):
    changes = {k: v for k, v in MICRO.items() if k != "n_experts"}
    path = pretrain_micro(tmp_path, 1, config={"preset": "huge", **changes})
    assert load_checkpoint(path).config.n_experts == 7
    assert json.loads((tmp_path / "run.json").read_text())["config"]["n_experts"] == 7


def test_errors_of_reading_processes_are_those_of_the_corpus(tmp_path):
    class Broken(FakeCorpus):
        def __getitem__(self, index):
            raise ValueError(f"sample {index} is gone")

    before = set(psutil.Process().children(recursive=True))  # of other tests: joblib keeps some
    for n_workers in (0, 1):
        with pytest.raises(ValueError, match=r"^sample \d+ is gone$") as caught:
            pretrain_micro(
                tmp_path / str(n_workers), corpus=Broken(SMALL), training={"n_workers": n_workers}
            )
        # Although the error is kept, and with it all that its frames hold.
        assert caught.tb and not set(psutil.Process().children(recursive=True)) - before


@pytest.mark.slow
def test_a_reading_process_that_dies_is_explained(tmp_path):
    class Dying(FakeCorpus):
        def __getitem__(self, index):
            import os

            os._exit(9)

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(RuntimeError, match="ended by the system.*n_workers"):
        pretrain_micro(tmp_path, corpus=Dying(SMALL), training={"n_workers": 2})
    assert not set(psutil.Process().children(recursive=True)) - before
