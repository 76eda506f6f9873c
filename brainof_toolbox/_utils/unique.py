"""Keys that occur more than once, of which a dict would keep the last and say nothing."""

from __future__ import annotations

import json


def find_repeated(keys):
    """List the keys that occur more than once, in their order."""
    keys = list(keys)
    return [key for key in dict.fromkeys(keys) if keys.count(key) > 1]


def refuse_repeated(keys, message):
    """Raise a ValueError with the message and the keys that occur more than once, if any."""
    repeated = find_repeated(keys)
    if repeated:
        raise ValueError(f"{message} more than once: {repeated[:20]}. Keep one of each.")


def load_json(content):
    """Read JSON, in which no object may name a key twice."""
    return json.loads(content, object_pairs_hook=_as_object)


def _as_object(pairs):
    refuse_repeated([key for key, _ in pairs], "an object names keys")
    return dict(pairs)
