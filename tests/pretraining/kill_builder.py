"""Build a corpus again and again, each time killed (SIGKILL) at another moment, then resumed.

One process that forks, so that packages are loaded once. Arguments: a folder of recordings, a
folder to work in, and moments ``FUNCTION:CALL``, or ``limit:BYTES`` for a disk that takes no
larger file. Prints one JSON line per moment.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

from brainof_toolbox.pretraining import build_corpus, build_part, recording_writer

HOMES = {
    "fsync": os,
    "replace": os,
    "rename": os,
    "rmtree": shutil,
    "encode": recording_writer,
}


def in_child(*arguments):
    """Build in a forked process; return how that ended and what :func:`build` gave."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        warnings.simplefilter("ignore")
        os.write(into, json.dumps(build(*arguments)).encode())
        os._exit(0)
    os.close(into)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(out) as file:
        text = file.read()
    return status, json.loads(text) if text else None


def deadly(name, call):
    """Kill this process instead of making the call number ``call`` of a function."""
    home, calls = HOMES[name], []
    real = getattr(home, name)

    def function(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(home, name, function)


def build(source, target, moment=None):
    """Build, perhaps not to the end; return the names of the recordings that were read."""
    read, real = [], build_part._write_part

    def write_part(recording, *args):
        read.append(recording.name)
        return real(recording, *args)

    build_part._write_part = write_part
    name, _, number = (moment or "").partition(":")
    if name == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
        try:
            build_corpus(source, target)
        except OSError as error:
            return str(error)
    elif name:
        deadly(name, int(number))
    build_corpus(source, target)
    return read


def content(folder):
    """All files and their bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def main(source, work, *moments):
    """Compare what a resumed build gives with an uninterrupted one."""
    work = Path(work)
    status, everything = in_child(source, work / "whole")
    assert status == 0
    whole = content(work / "whole")
    for number, moment in enumerate(moments):
        target = work / str(number)
        status, said = in_child(source, target, moment)
        left = target.exists()
        done, read = in_child(source, target)
        report = {
            "moment": moment,
            "killed": status == -signal.SIGKILL,
            "said": said,
            "was_there": left,
            "resumed": done == 0,
            "read_again": len(read),
            "of": len(everything),
            "equal": content(target) == whole,
            "stray": [name for name in os.listdir(work) if name.startswith(".")],
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
