"""Pretraining: a corpus of recordings -> a checkpoint that the estimators load.

Training from a corpus that has been built needs torch, numpy, safetensors and tqdm only; each name
is imported when it is first used.
"""

from importlib import import_module as _import_module

_HOMES = {
    "Corpus": "corpus",
    "PretrainingConfig": "config",
    "build_corpus": "build",
    "latest_checkpoint": "run_dir",
    "pretrain": "loop",
    "whiten_read_outs": "whitening",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
