"""Training log: a JSON line per interval, optional TensorBoard, and detection of loss spikes.

Sums over the interval are part of a checkpoint, so that an interrupted run writes the same lines
as one that was not, but for the clock.
"""

from __future__ import annotations

import json
import math

import numpy as np

from .._utils.files import replace_file
from .._utils.validation import soft_import
from ..models.config import MODALITY_CODES
from .run_dir import explain_write_error

SMOOTHING = 0.98  # of the running mean that a loss is compared with
MIN_STEPS = 10  # of a modality, before its loss may be called a spike
_CLOCK = ("seconds", "waited")
#: Steps on reconstruction are listed under their modality, those on terms under this name.
TERM_STEPS = "{} terms"
_LABELS = [*MODALITY_CODES, *map(TERM_STEPS.format, MODALITY_CODES)]
_NAMES = {"load": "expert_load", "entropy": "routing_entropy"}


class Log:
    """Sums over the steps of an interval, and the running mean of each modality's loss."""

    def __init__(self, path, config):
        self.path, self.every, self.max_loss_ratio = path, config.log_every, config.max_loss_ratio
        self._sums, self._means, self._writer = _no_sums(), {}, None
        self._has_board = config.tensorboard and path is not None
        if self._has_board:
            self._board = soft_import("torch.utils.tensorboard", "tensorboard=True", "tensorboard")

    # ------------------------------------------------------------------------------- a step

    def find_problem(self, modality, loss, norm):
        """Return why a step must not be taken, or None."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the loss is {loss:.4g}, and its gradient is not finite"
        count, mean = self._means.get(modality, (0, 0.0))
        if count >= MIN_STEPS and loss > self.max_loss_ratio * mean:
            return (
                f"the loss is {loss:.4g}, more than {self.max_loss_ratio:g} times its running "
                f"mean {mean:.4g}"
            )
        return None

    def add(self, modality, terms, *, norm, size, seconds, waited):
        """Add a step to the sums."""
        sums = self._sums
        of_modality = sums["terms"].setdefault(modality, {"n_steps": 0})
        of_modality["n_steps"] += 1
        for name, value in terms.items():
            of_modality[name] = (np.asarray(value) + of_modality.get(name, 0.0)).tolist()
        counts = {"n_steps": 1, "norm": norm, "samples": size[0], "tokens": size[1]}
        for name, value in {**counts, "seconds": seconds, "waited": waited}.items():
            sums[name] += value
        count, mean = self._means.get(modality, (0, 0.0))
        # Until there are many, the plain mean.
        keep = min(SMOOTHING, count / (count + 1))
        self._means[modality] = (count + 1, keep * mean + (1 - keep) * terms["loss"])

    # ------------------------------------------------------------------------------ a line

    def write(self, step, *, rate, epochs):
        """Write a line about the interval, and begin another."""
        line = _make_line(step, self._sums, rate, epochs)
        self._sums = _no_sums()
        if self.path is not None:
            advice = "Make room; the run can be resumed from its latest checkpoint"
            with explain_write_error(self.path, "The log could not be written", advice):
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
        if self._has_board:
            self._write_board(step, line)
        return line

    def _write_board(self, step, line):
        if self._writer is None:
            folder = str(self.path.parent / "tensorboard")
            # Points of steps that will be done again are taken back.
            self._writer = self._board.SummaryWriter(folder, purge_step=step)
        for name, value in _flatten(line):
            self._writer.add_scalar(name, value, step)

    def close(self):
        """Close what is open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # ------------------------------------------------------------------------------- state

    def state(self):
        """Return what a resumed run needs."""
        means = {name: list(value) for name, value in self._means.items()}
        return {"sums": self._sums, "means": means}

    def restore(self, state, step):
        """Continue from a checkpoint: later lines are removed from the file."""
        self._sums = {**_no_sums(), **state["sums"]}
        self._means = {name: tuple(value) for name, value in state["means"].items()}
        if self.path is None or not self.path.exists():
            return
        kept = [line for line in read_log(self.path) if line["step"] <= step]
        with replace_file(self.path) as file:
            file.write("".join(json.dumps(line) + "\n" for line in kept).encode())


def read_log(path):
    """Read the lines of a log."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def _no_sums():
    names = ("n_steps", "norm", "samples", "tokens", *_CLOCK)
    return {"terms": {}, **dict.fromkeys(names, 0)}


def _make_line(step, sums, rate, epochs):
    """Return means by term and modality, and speeds."""
    seconds = max(sums["seconds"], 1e-9)
    line = {
        "step": step,
        "learning_rate": rate,
        "gradient_norm": sums["norm"] / max(sums["n_steps"], 1),
    }
    for modality in _LABELS:
        of_modality = dict(sums["terms"].get(modality, {}))
        count = of_modality.pop("n_steps", 0)
        if count:
            line.setdefault("n_steps", {})[modality] = count
        for name, value in of_modality.items():
            mean = (np.asarray(value) / count).tolist()
            line.setdefault(_NAMES.get(name, name), {})[modality] = mean
    line["samples_per_second"] = sums["samples"] / seconds
    line["tokens_per_second"] = sums["tokens"] / seconds
    line["waiting"] = sums["waited"] / seconds
    line["epoch"] = epochs
    return _rounded(line)


def _rounded(value):
    """Round numbers to six digits."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _flatten(value, name=""):
    """Yield names with slashes, and numbers."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _flatten(item, f"{name}/{key}" if name else str(key))
    elif name != "step":
        yield name, value
