"""Load a checkpoint with one field after the other changed, in little memory and time.

``python loading.py CHECKPOINT`` reads pairs of a key and a value as JSON from its input, and
prints for each the error, or null; a process of its own, for what is allocated must end with it.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from brainof_toolbox.models import load_checkpoint

ROOM = 2**30  # bytes beside what the process has once everything is imported


def errors_of(folder, cases):
    """Yield type and text of what loading raises for each case."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key, value in cases:
        changed = {**config, "architecture": {**config["architecture"], key: value}}
        path.write_text(json.dumps(changed))
        try:
            load_checkpoint(folder)
        except Exception as error:
            yield type(error).__name__, str(error)
        else:
            yield None


if __name__ == "__main__":
    load_checkpoint(sys.argv[1])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,) * 2)
    print(json.dumps(list(errors_of(Path(sys.argv[1]), json.load(sys.stdin)))))
