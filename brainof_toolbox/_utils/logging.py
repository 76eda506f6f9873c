"""One logger, one kind of warning, and progress bars that vanish when nobody watches."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("brainof_toolbox")
#: Packages whose lines a user cannot change, on the way from his call to a warning.
_BETWEEN = ("brainof_toolbox", "contextlib", "joblib", "sklearn", "tqdm")
#: What was said since :func:`warn_once` began; None outside of it.
_SAID = ContextVar("said", default=None)


def warn(message, category=RuntimeWarning):
    """Warn at the user's line: the first outside the package and those it is called through."""
    said = _SAID.get()
    if said is not None:
        if message in said:
            return
        said.add(message)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _root(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def warn_once():
    """Within this context, say each warning of the package once."""
    # Python's own filter forgets what it has shown whenever any library silences a warning.
    if _SAID.get() is not None:
        yield
        return
    token = _SAID.set(set())
    try:
        yield
    finally:
        _SAID.reset(token)


def _root(frame):
    return frame.f_globals.get("__name__", "").split(".")[0]


def progress(iterable, *, total=None, description="", enabled=True, initial=0):
    """Wrap an iterable in a tqdm bar that shows on a terminal only."""
    from tqdm.auto import tqdm

    # tqdm's own disable=None means "hide unless stderr is a terminal".
    return tqdm(
        iterable,
        total=total,
        desc=description,
        disable=None if enabled else True,
        leave=False,
        initial=initial,
    )
