"""Find repeated keys, of which a dict would silently keep the last."""

from __future__ import annotations

import json
from collections import Counter


def find_repeated(keys):
    """List the keys that occur more than once, in their order."""
    return [key for key, count in Counter(keys).items() if count > 1]


def refuse_repeated(keys, message):
    """Raise a ValueError with the message and the keys that occur more than once, if any."""
    repeated = find_repeated(keys)
    if repeated:
        raise ValueError(f"{message} more than once: {repeated[:20]}. Keep one of each.")


def load_json(content):
    """Parse JSON; a repeated key in an object is an error."""
    return json.loads(content, object_pairs_hook=_as_object)


def _as_object(pairs):
    refuse_repeated([key for key, _ in pairs], "an object has keys")
    return dict(pairs)
