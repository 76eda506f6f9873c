"""Run the snippets of pages that show their output, and write what they print below them.

``python doc/run_snippets.py`` does so for all such pages, ``python doc/run_snippets.py index.rst``
for some.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
_BLOCK = r"((?:    .*\n|\n)+?)(?=\S)"
_SNIPPET = re.compile(
    rf"(\.\. code-block:: python\n\n{_BLOCK}\.\. code-block:: none\n\n){_BLOCK}", re.M
)


def run(code):
    """Run code in a process of its own; return what it prints, without warnings."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip("\n")


def update(path):
    """Replace the outputs on a page; return how many differ."""
    text, changed = path.read_text(encoding="utf-8"), 0

    def replace(found):
        nonlocal changed
        printed = textwrap.indent(run(found[2]), "    ").replace("    \n", "\n") + "\n\n"
        changed += printed != found[3]
        return found[1] + printed

    text = _SNIPPET.sub(replace, text)
    path.write_text(text, encoding="utf-8")
    return changed


def main():
    """Update the pages that are named, or all with snippets."""
    pages = [HERE / name for name in sys.argv[1:]] or sorted(HERE.glob("*.rst"))
    for path in pages:
        if _SNIPPET.search(path.read_text(encoding="utf-8")):
            print(f"{path.name}: {update(path)} outputs differed", flush=True)


if __name__ == "__main__":
    main()
