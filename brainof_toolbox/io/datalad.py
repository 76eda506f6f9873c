"""Find files that were not downloaded: links of datalad and git-annex, pointers of git-lfs."""

from __future__ import annotations

from pathlib import Path

#: First bytes of the text files that replace data where links are not possible.
_POINTERS = ((b"/annex/objects", "datalad get"), (b"version https://git-lfs", "git lfs pull"))
#: Files that belong together: a header, and the files of its data.
_COMPANIONS = {".vhdr": (".eeg", ".vmrk", ".dat"), ".set": (".fdt",)}


def absent_files(path):
    """List the files of a recording that have no content on this machine."""
    path = Path(path)
    files = [path, *map(path.with_suffix, _COMPANIONS.get(path.suffix.lower(), ()))]
    if "_split-" in path.name:
        stem, _, rest = path.name.partition("_split-")
        files += sorted(path.parent.glob(f"{stem}_split-*{rest.partition('_')[2]}"))
    if path.is_dir():  # CTF and BTi recordings
        files += [entry for entry in sorted(path.rglob("*")) if entry.is_symlink()]
    states = {file: _how_to_get(file) for file in files}
    return [(file, command) for file, command in states.items() if command]


def _how_to_get(path):
    """Return the command that fetches a missing file; None if it is present or unknown."""
    if path.is_symlink() and not path.exists():
        return "datalad get"
    if path.is_file() and path.stat().st_size < 1000:
        with open(path, "rb") as file:
            start = file.read(40)
        for mark, command in _POINTERS:
            if start.startswith(mark):
                return command
    return None


def check_present(path):
    """Raise if the content of a recording was not downloaded."""
    for file, command in absent_files(path):
        command += f" {file}" * (command == "datalad get")
        raise FileNotFoundError(
            f"{file} is a link to content that is not on this machine: it was never downloaded. "
            f"Get it with `{command}`."
        )
    if not Path(path).exists():
        raise FileNotFoundError(f"No such recording: {Path(path)}.")
