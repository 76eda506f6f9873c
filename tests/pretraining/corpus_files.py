"""Changes to the files of a corpus that sign themselves."""

from __future__ import annotations

import hashlib
import json

from brainof_toolbox.pretraining import format


def rewrite(folder, **changes):
    """Change ``corpus.json`` and sign it again."""
    path = folder / "corpus.json"
    header = json.loads(path.read_text()) | changes
    header["sha256"] = format.fingerprint(header)
    path.write_text(json.dumps(header))


def rewrite_row(folder, number, **changes):
    """Change a row of the index and sign everything again."""
    path = folder / "index.jsonl"
    rows = path.read_text().splitlines()
    rows[number] = format.dump(json.loads(rows[number]) | changes)
    path.write_text("\n".join(rows) + "\n")
    rewrite(folder, index_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
