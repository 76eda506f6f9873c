"""Description of a run, and comparison of it with that of a resumed run."""

from __future__ import annotations

import json

FORMAT_VERSION = 1
#: Fields of the configuration that change no result, or that may change underway.
FREE = (
    "compile",
    "checkpoint_activations",
    "strategy",
    "save_average",
    "n_workers",
    "log_every",
    "keep_latest_k",
    "max_loss_ratio",
    "tensorboard",
)


def describe_run(corpus, model_config, training, random_state, total_steps):
    """Write down what decides the result of a run."""
    return {
        "format_version": FORMAT_VERSION,
        "corpus": {
            "sha256": corpus.sha256,
            "n_samples": len(corpus),
            "datasets": list(corpus.datasets),
        },
        "config": model_config.to_dict(),
        "training": training.to_dict(),
        "random_state": random_state,
        "total_steps": total_steps,
    }


def list_differences(old, new, name=""):
    """Compare two descriptions of runs."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        if name == "training." and key in FREE:
            continue
        one, other = old.get(key, "absent"), new.get(key, "absent")
        if isinstance(one, dict) and isinstance(other, dict):
            found += list_differences(one, other, f"{name}{key}.")
        elif one != other:
            found.append(f"{name}{key}: {_short(one)} -> {_short(other)}")
    return found


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
