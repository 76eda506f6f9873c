"""Import from a folder as if it were the current one, and leave no trace."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import sys
import threading
from pathlib import Path

import numpy as np
import torch

#: One clone at a time: what Python imports and where it looks is shared by all threads.
_LOCK = threading.RLock()
#: Never taken out of the process, even where the clone has a folder of that name.
_KEPT = {"brainof_toolbox", "numpy", "torch"}


class Clone:
    """The modules of a repository, which Python sees only while its code runs.

    Names such as ``models``, ``datasets`` and ``utils`` belong to many packages.
    """

    def __init__(self, root):
        self.root = root
        if not (root / "models" / "transformer.py").is_file():
            raise FileNotFoundError(
                f"{root} was expected to be a clone of the authors' repository, with "
                "models/transformer.py and datasets in it."
            )
        self._real = root.resolve()
        self._modules = {}
        self._path = [str(root)]

    @contextlib.contextmanager
    def at_home(self):
        """Let the clone's modules be found by their names, inside the ``with`` block."""
        # Its root leads :data:`sys.path` and is the working directory, as for a script that is
        # started there; what its code adds to the path is there again next time. Afterwards path,
        # folder and modules are as before, after an error too.
        with _LOCK, contextlib.chdir(self.root):
            names = self._names()
            path, writes_nothing = list(sys.path), sys.dont_write_bytecode
            away = {key: sys.modules.pop(key) for key in list(sys.modules) if _top(key) in names}
            others = dict(sys.modules)  # not the clone's; to look at thousands again takes long
            try:
                sys.modules.update(self._modules)
                sys.path[:0] = self._path
                sys.dont_write_bytecode = True  # a clone is not ours to write to
                yield self
            finally:
                self._path = [entry for entry in dict.fromkeys(sys.path) if entry not in path]
                sys.path[:], sys.dont_write_bytecode = path, writes_nothing
                self._modules = {
                    key: module
                    for key, module in list(sys.modules.items())
                    if others.get(key) is not module
                    and (key in self._modules or _top(key) in names or self._holds(module))
                }
                for key in self._modules:
                    del sys.modules[key]
                sys.modules.update({k: others[k] for k in self._modules if k in others} | away)
                importlib.invalidate_caches()

    def load(self, name):
        """Import one of the clone's modules, inside :meth:`at_home`."""
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise ImportError(
                f"Importing {name!r} from {self.root} failed with {type(error).__name__}: "
                f"{error}. Install what the repository requires."
            ) from error
        if not self._holds(module):
            raise ValueError(
                f"{name!r} was expected in {self.root}, and was found at "
                f"{getattr(module, '__file__', None)}: that package hides the clone's."
            )
        return module

    def _names(self):
        """List top-level names that belong to the clone while it runs."""
        names = {_top(key) for key in self._modules}
        for entry in self.root.iterdir():
            if entry.suffix == ".py" or entry.is_dir():
                names.add(entry.stem if entry.suffix == ".py" else entry.name)
        return {n for n in names if n.isidentifier()} - _KEPT - sys.stdlib_module_names

    def _holds(self, module):
        places = [getattr(module, "__file__", None)]
        with contextlib.suppress(Exception):  # anything can stand in sys.modules
            places += list(getattr(module, "__path__", []))
        return any(
            isinstance(place, str) and Path(os.path.realpath(place)).is_relative_to(self._real)
            for place in places
        )


def _top(name):
    return name.partition(".")[0]


@contextlib.contextmanager
def fixed_randomness():
    """Let code draw the same numbers each time, and leave the global states as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.setstate(random.Random(0).getstate())
    np.random.set_state(np.random.RandomState(0).get_state())  # noqa: NPY002
    torch.set_rng_state(torch.Generator("cpu").manual_seed(0).get_state())
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def read_commit(root):
    """Read which commit of a repository is checked out, without running git."""
    git = root / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head or None
        ref = head.removeprefix("ref:").strip()
        if (git / ref).is_file():
            return (git / ref).read_text(encoding="utf-8").strip()
        for line in (git / "packed-refs").read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {ref}"):
                return line.split()[0]
    except (OSError, UnicodeDecodeError):
        pass
    return None
