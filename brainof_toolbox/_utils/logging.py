"""Logger, warnings and progress bars of the package."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("brainof_toolbox")
#: Packages skipped when a warning is attributed to a line of the user.
_BETWEEN = ("brainof_toolbox", "contextlib", "joblib", "sklearn", "tqdm")
#: Warnings emitted since :func:`warn_once` began; None outside of it.
_EMITTED = ContextVar("emitted", default=None)


def warn(message, category=RuntimeWarning):
    """Emit a warning at the user's line, the first outside this and the skipped packages."""
    emitted = _EMITTED.get()
    if emitted is not None:
        if message in emitted:
            return
        emitted.add(message)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _root(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def warn_once():
    """Emit each warning of the package once within this context."""
    # Python's own filter is reset whenever a library changes the filters.
    if _EMITTED.get() is not None:
        yield
        return
    token = _EMITTED.set(set())
    try:
        yield
    finally:
        _EMITTED.reset(token)


def _root(frame):
    return frame.f_globals.get("__name__", "").split(".")[0]


def progress(iterable, *, total=None, description="", enabled=True, initial=0):
    """Wrap an iterable in a tqdm bar that shows on a terminal only."""
    from tqdm.auto import tqdm

    # disable=None hides the bar unless stderr is a terminal
    return tqdm(
        iterable,
        total=total,
        desc=description,
        disable=None if enabled else True,
        leave=False,
        initial=initial,
    )
