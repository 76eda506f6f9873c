"""Check parameters; errors have the parameter, the allowed values, the value and a fix."""

from __future__ import annotations

import dataclasses
import importlib
import math
import numbers


def _english_list(words):
    words = [repr(word) for word in words]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def check_option(parameter, value, allowed, extra=""):
    """Return ``value`` if it is one of ``allowed``, else raise."""
    if not any(
        value is known or (isinstance(value, type(known)) and value == known) for known in allowed
    ):
        extra = f" {extra}" if extra else ""
        raise ValueError(
            f"Invalid value for the parameter {parameter!r}: allowed are "
            f"{_english_list(allowed)}, got {value!r}.{extra}"
        )
    return value


def choose(parameter, value, allowed):
    """Return ``value`` if it is one of ``allowed``; None means the only one."""
    if value is None and len(allowed) > 1:
        raise ValueError(f"Name the {parameter}: there are {', '.join(allowed)}.")
    return check_option(parameter, next(iter(allowed)) if value is None else value, tuple(allowed))


def check_number(parameter, value, *, low=None, high=None, integer=False, low_open=False):
    """Return ``value`` if it is a finite number within its bounds, else raise."""
    kind = numbers.Integral if integer else numbers.Real
    words = "a whole number" if integer else "a number"
    if low is not None:
        words += f" {'above' if low_open else 'of at least'} {low}"
    if high is not None:
        words += f" {'and' if low is not None else 'of'} at most {high}"
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError(f"The parameter {parameter!r} must be {words}, got {value!r}.")
    number = _as_number(value, integer)
    too_low = low is not None and (number <= low if low_open else number < low)
    too_high = high is not None and number > high
    if too_low or too_high or not (integer or math.isfinite(number)):
        raise ValueError(f"The parameter {parameter!r} must be {words}, got {value!r}.")
    return number


def _as_number(value, integer):
    """Return a Python number; infinity where a whole number is beyond floating point."""
    try:
        return int(value) if integer else float(value)
    except OverflowError:
        return math.inf


def as_seed(random_state):
    """Return an integer seed from any ``random_state`` without the global random state."""
    import numpy as np

    if random_state is None:
        return 0
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, numbers.Integral):
        return check_number("random_state", random_state, low=0, integer=True)
    raise TypeError(
        f"The parameter 'random_state' must be a whole number, a RandomState or None, got "
        f"{random_state!r}."
    )


def per_item(name, value, n_items, what):
    """Return a list with one entry per item; one value is for all of them."""
    if value is None or isinstance(value, (str, numbers.Number)):
        return [value] * n_items
    if len(value) != n_items:
        raise ValueError(f"{name} has {len(value)} entries but there are {n_items} {what}.")
    return list(value)


def soft_import(module, purpose, extra=None):
    """Import an optional module; the error has the command to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = f"brainof_toolbox[{extra}]" if extra else module.split(".")[0]
        raise ImportError(f"{purpose} needs {module!r}: pip install {name!r}.") from error


def check_fields(cls, values, what):
    """Return a dict of fields of a dataclass; raise on unknown keys."""
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        raise ValueError(
            f"Unknown {what} {', '.join(map(repr, unknown))}. Known keys are {', '.join(known)}. "
            "Remove it, or upgrade brainof_toolbox."
        )
    return values
