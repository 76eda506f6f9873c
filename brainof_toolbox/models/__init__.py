"""The network: tokens in, latents out. It never sees a file of recordings.

Each name is imported when it is first used, so that :mod:`.config` needs no torch.
"""

from importlib import import_module as _import_module

_HOMES = {
    "BrainOF": "brainof",
    "BrainOFConfig": "config",
    "Checkpoint": "checkpoint",
    "ReleasedBrainOF": "release",
    "TokenBatch": "tokens",
    "load_checkpoint": "checkpoint",
    "load_release": "release",
    "make_tokens": "tokens",
    "save_checkpoint": "checkpoint",
}

__all__ = list(_HOMES)


def __getattr__(name):
    if name in _HOMES:
        return getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
