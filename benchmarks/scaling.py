"""Arithmetic of pretraining on many GPUs: tokens per second, memory and days.

Run ``python -m benchmarks.scaling``; it rewrites the tables of ``doc/pretraining_clusters.rst``.
Nothing is timed. Counted, by torch, are the FLOP of a training step of our objective and the bytes
that it keeps for the backward pass, without computing anything (fake tensors). Assumed are the
peak of the GPU and the share of it that is reached: give what was measured on one GPU of your own
by ``--peak`` and ``--utilisation``.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lib.tables import csv_link, csv_table
from brainof_toolbox.models import BrainOF, BrainOFConfig
from brainof_toolbox.models.config import MODALITY_CODES
from brainof_toolbox.models.moe import Experts
from brainof_toolbox.pretraining.batch import GridBatch
from brainof_toolbox.pretraining.config import PretrainingConfig
from brainof_toolbox.pretraining.corruption import draw_masks
from brainof_toolbox.pretraining.objective import Objective

PAGE = Path(__file__).resolve().parent.parent / "doc" / "pretraining_clusters.rst"
BEGIN, END = ".. scaling-begin", ".. scaling-end"
#: Samples of the published corpus, and the shape that one of them is given here.
CORPUS = {"eeg": 4_865_262, "meg": 907_710, "fmri": 98_012}
SHAPES = {"eeg": (32, 2560), "meg": (306, 512), "fmri": (246, 320)}  # channels, time points
NETWORKS, GPUS = ("base", "large", "huge"), (8, 64, 256)
GB = 1e9
STATE = {"weights": 4, "gradient": 4, "AdamW": 8}  # bytes per parameter, float32


def make_batch(modality, n_samples, config):
    """Make a batch of zeros of the shape of a modality, with masks."""
    n_channels, n_times = SHAPES[modality]
    samples = [
        SimpleNamespace(
            data=np.zeros((n_channels, n_times), np.float32),
            sfreq=0.5 if modality == "fmri" else 256.0,
            position=np.zeros((n_channels, 3), np.float32),
            orientation=np.zeros((n_channels, 3), np.float32),
            sensor_type=np.zeros(n_channels, np.int64),
            log_scale=np.zeros(n_channels, np.float32),
            modality=MODALITY_CODES.index(modality),
            dataset="",
            index=0,
        )
    ] * n_samples
    grid = GridBatch.collate(samples)
    return grid, draw_masks(grid, config, torch.Generator().manual_seed(0), 64)


def to_fake(batch, mode):
    """Return a batch of the same shapes without values."""
    fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    fields = {
        name: mode.from_tensor(value) if isinstance(value, torch.Tensor) else value
        for name, value in fields.items()
    }
    return dataclasses.replace(batch, **fields)


def even_experts(self, x, counts, looped=Experts.looped):
    """Run :meth:`Experts.looped` with equally used experts: fake tensors have no counts."""
    n_experts = len(self.gate_up)
    sizes = [len(x) // n_experts] * n_experts
    sizes[-1] += len(x) - sum(sizes)
    return looped(self, x, SimpleNamespace(tolist=lambda: sizes))


def build(network, training, mode):
    """Build the objective around a network with fake weights."""
    model = BrainOF(BrainOFConfig.preset(network), random_state=None)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(torch.empty(parameter.shape)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, mode.from_tensor(buffer))
    return Objective(model, training)


def count_flop(network, modality):
    """Count the FLOP of forward and backward of one sample."""
    training, mode = PretrainingConfig(), FakeTensorMode()
    batch = make_batch(modality, 1, training)
    # Attention is written out: torch does not count every fused kernel.
    with mode, FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        objective = build(network, training, mode)
        objective(*(to_fake(part, mode) for part in batch))["loss"].backward()
        assert all(p.grad is not None for p in objective.parameters())
    return counter.get_total_flops()


def count_bytes(network, modality, n_samples):
    """Count the bytes that a forward pass in bf16 keeps for the backward pass, without weights."""
    training, mode = PretrainingConfig(precision="bf16"), FakeTensorMode()
    batch, kept = make_batch(modality, n_samples, training), {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    # Fused attention, which keeps what that of a GPU keeps.
    with mode, sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        objective = build(network, training, mode)
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with hooks, torch.autocast("cpu", torch.bfloat16):
            loss = objective(*(to_fake(part, mode) for part in batch))["loss"]
        own = {p.untyped_storage()._cdata for p in objective.parameters()}
        n_bytes = sum(size for key, size in kept.items() if key not in own)
        del loss
    return n_bytes


def count(network):
    """Count parameters, FLOP and bytes of one network."""
    model = BrainOF(BrainOFConfig.preset(network), random_state=None)
    blocks = [*model.layers, *model.encoder.blocks, *model.decoder.blocks]
    found = {
        "parameters": model.n_parameters(),
        "block": max(sum(p.numel() for p in block.parameters()) for block in blocks),
        "flop": {},
        "bytes": {},
    }
    for modality in SHAPES:
        found["flop"][modality] = count_flop(network, modality)
        one, two = (count_bytes(network, modality, n) for n in (1, 2))
        found["bytes"][modality] = two - one
        found["copies"] = one - (two - one)  # of weights, in bf16
        gflop = found["flop"][modality] / 1e9
        print(f"{network} {modality}: {gflop:.1f} GFLOP, {(two - one) / 1e6:.0f} MB per sample")
    return found


def n_tokens(modality):
    """Return tokens of a sample."""
    n_channels, n_times = SHAPES[modality]
    return n_channels * -(-n_times // 64)


def per_token(values):
    """Return the largest value per token among the modalities."""
    return max(values[modality] / n_tokens(modality) for modality in SHAPES)


def sample_table(counts):
    """Tabulate the counts of one sample."""
    rows = []
    for network, found in counts.items():
        for modality, (n_channels, n_times) in SHAPES.items():
            rows.append(
                {
                    "network": f"{network}, {found['parameters'] / 1e6:,.0f} M",
                    "sample": f"{modality}, {n_channels} x {n_times}",
                    "tokens": f"{n_tokens(modality):,}",
                    "GFLOP": f"{found['flop'][modality] / 1e9:.1f}",
                    "kept for backward": f"{found['bytes'][modality] / 1e6:.0f} MB",
                }
            )
    return pd.DataFrame(rows)


def corpus_flop(found):
    """Return FLOP of one pass over the published corpus."""
    return sum(n * found["flop"][modality] for modality, n in CORPUS.items())


def shares(network, found, options):
    """Return shares of the peak, measured or assumed, with words for the table."""
    if network in options.measured:
        rate = options.measured[network] * corpus_flop(found) / sum(CORPUS.values())
        share = 100 * rate / options.peak / 1e12
        return [(share, f"{share:.0f} %, measured")]
    return [(share, f"{share:g} %") for share in options.utilisation]


def time_table(counts, options):
    """Tabulate samples and tokens per second, and days."""
    rows = []
    samples = sum(CORPUS.values())
    tokens = sum(n * n_tokens(modality) for modality, n in CORPUS.items())
    values = sum(n * np.prod(SHAPES[modality]) for modality, n in CORPUS.items())
    for network, found in counts.items():
        for n_gpus in GPUS:
            for share, words in shares(network, found, options):
                seconds = corpus_flop(found) / (options.peak * 1e12 * share / 100 * n_gpus)
                days = options.passes * seconds / 86400
                rows.append(
                    {
                        "network": network,
                        "GPUs": n_gpus,
                        "of the peak": words,
                        "million tokens/s": f"{tokens / seconds / 1e6:,.0f}",
                        "samples/s": f"{samples / seconds:,.0f}",
                        "GB/s to read": f"{2 * values / seconds / GB:,.1f}",
                        "days": f"{days:.3f}" if days < 0.1 else f"{days:.2f}",
                    }
                )
    return pd.DataFrame(rows)


def memory_table(counts, options):
    """Tabulate the memory of a GPU under DDP and FSDP, and times of computing and sending."""
    rows = []
    for network, found in counts.items():
        n = found["parameters"]
        state = n * sum(STATE.values())
        activations = options.micro_tokens * per_token(found["bytes"])
        share = max(share for share, _ in shares(network, found, options)) / 100
        seconds = options.micro_tokens * per_token(found["flop"]) / (options.peak * 1e12 * share)
        for n_gpus in GPUS:
            # Blocks are sent in bf16: the one in use, and the next one on its way.
            parts = state / n_gpus + 2 * 2 * found["block"]
            # Rings: gradients are added and sent back in float32, or blocks come in bf16 for
            # forward and backward, and gradients go in float32. Both are 8 bytes per parameter.
            sent = (n_gpus - 1) / n_gpus * 8 * n
            speed = options.inside if n_gpus <= 8 else options.between
            rows.append(
                {
                    "network": network,
                    "GPUs": n_gpus,
                    "activations": f"{activations / GB:.1f} GB",
                    "DDP, all": f"{(state + found['copies'] + activations) / GB:.1f} GB",
                    "FSDP, all": f"{(parts + activations) / GB:.1f} GB",
                    "computing": f"{1e3 * seconds:.0f} ms",
                    "sending": f"{1e3 * sent / GB / speed:.0f} ms",
                }
            )
    return pd.DataFrame(rows)


HEAD = """**The numbers are arithmetic, not measurements.** Made by::

    python -m benchmarks.scaling{arguments}

.. admonition:: Methods
   :collapsible: closed

   Counted by torch {torch}: FLOP of forward and backward, and bytes kept for the backward pass in
   bf16. Assumed: samples of {shapes} (channels x time points); {peak:g} TFLOP/s (data sheet of an
   H100, dense bf16), of which {utilisation} % are reached; {inside:g} GB/s between GPUs of a
   machine, {between:g} GB/s between machines; micro-batches of {micro_tokens:,} tokens. Memory is
   that of weights, gradients, AdamW, bf16 copies and activations. *Computing* is the time of a
   micro-batch at the highest share, *sending* that of the gradients of a step under DDP. Days are
   for {passes:g} passes over the {n_samples:,} samples of the published corpus
   :footcite:p:`guo2026brainof`; its number of passes is not published.

"""


def main():
    """Count, compute, and rewrite the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s of a GPU")
    parser.add_argument("--utilisation", type=float, nargs="+", default=[20.0, 40.0], help="%%")
    parser.add_argument(
        "--measured",
        nargs="+",
        default=[],
        metavar="base=SAMPLES/S",
        help="what one GPU of yours reaches, in place of a share of its peak",
    )
    parser.add_argument("--inside", type=float, default=450.0, help="GB/s within a machine")
    parser.add_argument("--between", type=float, default=50.0, help="GB/s between machines")
    parser.add_argument("--micro-tokens", type=int, default=65536)
    parser.add_argument("--passes", type=float, default=100.0)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    command = " ".join(["", *sys.argv[1:]])
    pairs = (pair.split("=") for pair in options.measured)
    options.measured = {network: float(rate) for network, rate in pairs}
    Experts.looped = even_experts
    counts = {network: count(network) for network in options.networks}
    text = HEAD.format(
        torch=torch.__version__.split("+")[0],
        arguments=command,
        shapes=", ".join(f"{m} {c} x {t}" for m, (c, t) in SHAPES.items()),
        n_samples=sum(CORPUS.values()),
        peak=options.peak,
        inside=options.inside,
        between=options.between,
        micro_tokens=options.micro_tokens,
        passes=options.passes,
        utilisation=" or ".join(f"{share:g}" for share in options.utilisation),
    )
    page, title = options.out, f"Speed, and days of {options.passes:g} passes"
    text += csv_table(memory_table(counts, options), "One GPU, one micro-batch", page, "memory")
    text += "\n" + csv_link(time_table(counts, options), title, page, "time")
    text += csv_link(sample_table(counts), "One sample, forward and backward", page, "samples")
    before, rest = options.out.read_text().split(BEGIN)
    options.out.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
