"""A small stand-in for the authors' repository, written from what their model card shows.

Nobody outside has seen the real one run here: this is its outside (names of modules, factory and
transform, how they are called, what comes out), with a network of our own invention inside.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp

FILES = {
    "models/__init__.py": "",
    "models/layers.py": """
        import torch
        from torch import nn

        class Scaled(nn.Module):
            def __init__(self, width, layer_scale_type):
                super().__init__()
                assert layer_scale_type == "per_channel"
                self.linear = nn.Linear(width, width)
                self.gamma = nn.Parameter(torch.ones(width))

            def forward(self, x):
                return x + self.gamma * self.linear(x).tanh()
    """,
    "models/transformer.py": """
        import torch
        from torch import nn
        from utils.patches import to_patches
        from .layers import Scaled

        class BrainOF(nn.Module):
            def __init__(self, width, num_classes, layer_scale_type):
                super().__init__()
                self.patch = nn.Linear(64, width)
                self.blocks = nn.ModuleList([Scaled(width, layer_scale_type) for _ in range(2)])
                self.drop = nn.Dropout(0.5)
                self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()

            def forward(self, x):  # (B, C, T)
                from utils.lazy import centre  # imported when it runs
                x = self.patch(centre(to_patches(x)))  # (B, C, N, D)
                for block in self.blocks:
                    x = block(x)
                return self.head(self.drop(x).mean((1, 2)))

        def brainof_large_331M_A150M(num_classes=1000, layer_scale_type="none"):
            return BrainOF(512, num_classes, layer_scale_type)

        def brainof_giant_9B_A1B(num_classes=1000, layer_scale_type="none"):
            return BrainOF(1024, num_classes, layer_scale_type)

        def brainof_base_47M_A21M(num_classes=1000, layer_scale_type="none"):
            return BrainOF(300, num_classes, layer_scale_type)

        def brainof_huge_1B_A500M(num_classes=1000, layer_scale_type="none"):
            return BrainOF(768, num_classes, layer_scale_type)

        def brainof_huge_2B_A500M(num_classes=1000, layer_scale_type="none"):
            return BrainOF(768, num_classes, layer_scale_type)
    """,
    "datasets/__init__.py": "from .transform import DataTransform\n",
    "datasets/transform.py": """
        import torch
        import utils
        with open("settings.txt") as file:  # relative: they start at the root
            GAIN = float(file.read())

        class DataTransform:
            def __init__(self, clip=20.0):
                self.clip = clip

            def __call__(self, x):
                x *= GAIN  # in place
                return torch.as_tensor(x).clamp(-self.clip, self.clip) + 1e-3 * torch.rand(1)
    """,
    "utils/__init__.py": "",
    "utils/patches.py": """
        def to_patches(x):
            return x.unflatten(-1, (-1, 64))
    """,
    "utils/lazy.py": """
        def centre(x):
            return x - x.mean(-1, keepdim=True)
    """,
    "settings.txt": "0.5",
    ".git/HEAD": "ref: refs/heads/main\n",
    ".git/refs/heads/main": "0123456789abcdef0123456789abcdef01234567\n",
}


def write_clone(folder, **changes):
    """Write the files; ``changes`` are by name of the file up to its dot, ``None`` leaves out."""
    import textwrap

    for name, text in FILES.items():
        text = changes.get(Path(name).with_suffix("").as_posix().replace("/", "_"), text)
        if text is not None:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
    return Path(folder)


def make_state(width=512, seed=0):
    """The weights of a network of the clone, by name."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"patch.weight": (width, 64), "patch.bias": (width,)}
    for i in range(2):
        shapes[f"blocks.{i}.gamma"] = (width,)
        shapes[f"blocks.{i}.linear.weight"] = (width, width)
        shapes[f"blocks.{i}.linear.bias"] = (width,)
    return {name: 0.05 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def embed(state, sample, clip=20.0):
    """What the clone computes, literally: patches of 64, centred, two layers, a mean."""
    with torch.no_grad():
        noise = 1e-3 * torch.rand(1, generator=torch.Generator().manual_seed(0))
        x = (0.5 * torch.as_tensor(sample)).clamp(-clip, clip) + noise
        x = x.reshape(len(x), -1, 64)
        x = (x - x.mean(-1, keepdim=True)) @ state["patch.weight"].T + state["patch.bias"]
        for i in range(2):
            weight, bias = (state[f"blocks.{i}.linear.{part}"] for part in ("weight", "bias"))
            x = x + state[f"blocks.{i}.gamma"] * (x @ weight.T + bias).tanh()
        return x.mean((0, 1))


def save_sharded(folder, content):
    """A distributed checkpoint as torch writes it, by one process."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(content, checkpoint_id=folder, no_dist=True)
    return Path(folder)


class Payload:
    """Makes a folder when it is unpickled by a reader that runs what it finds."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)
