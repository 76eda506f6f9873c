"""The command ``brainof info``: versions, devices and bundled checkpoints, or one checkpoint."""

from __future__ import annotations

from .options import CHECKPOINT, add_command

_PACKAGES = ("torch", "mne", "nilearn", "scikit-learn", "numpy", "safetensors")


def add_info(commands, parents):
    """Add the command to the parsers of commands."""
    info = add_command(commands, "info", run_info, parents, help="versions, devices, checkpoints")
    info.add_argument("checkpoint", nargs="?", help="name or folder of a checkpoint to describe")


def run_info(options):
    """Print versions and devices, or describe a checkpoint."""
    if options.checkpoint:
        _print_checkpoint(options.checkpoint)
    else:
        _print_versions()
        _print_bundled()


def _print_versions():
    import importlib.metadata as metadata
    import platform

    import torch

    from .. import __version__

    print(f"brainof_toolbox  {__version__}")
    print(f"python           {platform.python_version()} ({platform.platform()})")
    for name in _PACKAGES:
        print(f"{name:16} {metadata.version(name)}")
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        devices.append(f"cuda:{i} ({torch.cuda.get_device_name(i)})")
    devices += ["mps"] if torch.backends.mps.is_available() else []
    print(f"devices          {', '.join(devices)}")


def _print_bundled():
    """Print one line per bundled checkpoint, and the path of its model card."""
    from ..models.checkpoint import describe_checkpoints

    cards = describe_checkpoints()
    if not cards:
        print("checkpoints      none bundled")
    for name, about in cards.items():
        n_parameters = about["parameters"]
        count = f"{n_parameters:,}" if isinstance(n_parameters, int) else "unknown number of"
        is_default = " (default)" if name == CHECKPOINT else ""
        print(f"checkpoint       {name}{is_default}: {count} parameters, {about['licence']}")
        if about["card"]:
            print(f"{'':16} model card: {about['card']}")


def _print_checkpoint(path_or_name):
    from dataclasses import asdict

    from ..encoder.backbones import find_checkpoint
    from ..models import load_checkpoint
    from ..models.checkpoint import describe_checkpoints

    checkpoint = load_checkpoint(find_checkpoint(path_or_name))
    card = describe_checkpoints().get(checkpoint.name, {}).get("card")
    print(f"checkpoint     {checkpoint.name}\nsha256         {checkpoint.sha256}")
    print(f"parameters     {checkpoint.model.n_parameters():,}")
    if card:
        print(f"model card     {card}")
    manifest = dict(checkpoint.manifest)
    if "subjects" in manifest:
        manifest["subjects"] = f"{len(manifest['subjects'])} (hashed)"
    for title, values in (
        ("network", asdict(checkpoint.config)),
        ("preprocessing", checkpoint.preprocessing),
        ("manifest", manifest),
    ):
        print(title)
        for key, value in values.items():
            _print_value(key, value)


def _print_value(key, value):
    """Print one line, or one per object of a list or an object of objects."""
    names = [f"{name}: " for name in value] if isinstance(value, dict) else None
    rows = list(value.values() if names else value if isinstance(value, list | tuple) else ())
    if not rows or not all(isinstance(row, dict) for row in rows):
        print(f"  {key}: {value}")
        return
    print(f"  {key}:")
    for name, row in zip(names or [""] * len(rows), rows, strict=True):
        print(f"    {name}{', '.join(f'{k} {v}' for k, v in row.items())}")
