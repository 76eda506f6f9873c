"""Logger, warnings and progress bars of the package."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("brainof_toolbox")
#: Packages skipped when a warning is attributed to a line of the user.
_BETWEEN = ("brainof_toolbox", "contextlib", "joblib", "sklearn", "tqdm")
#: Warnings collected since :func:`group_warnings` began; None outside of it.
_GROUP = ContextVar("group", default=None)
#: What differs between warnings of one kind: paths, lists, quoted names, numbers.
_PARTICULAR = re.compile(r"\S*[/\\]\S*|\[[^\]]*\]|(?<!\w)'[^']*'(?!\w)|\d")


def warn(message, category=RuntimeWarning):
    """Emit a warning at the user's line, the first outside this and the skipped packages."""
    group = _GROUP.get()
    if group is not None and group.sink == _sink() and _action(message, category) != "error":
        group.add(message, category)
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _root(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def group_warnings():
    """Emit one warning of each kind when the context ends, with the number of the others."""
    if _GROUP.get() is not None:
        yield
        return
    group = _Group()
    token = _GROUP.set(group)
    try:
        yield
    finally:
        _GROUP.reset(token)
        for (_, category), (first, *others) in group.found.items():
            count = f"{len(others)} more warning{'s' if len(others) > 1 else ''} of this kind"
            warn(f"{first} (and {count})" if others else first, category)


class _Group:
    """Warnings by kind, each text once."""

    def __init__(self):
        self.found, self.sink = {}, _sink()

    def add(self, message, category):
        if _action(message, category) != "ignore":
            texts = self.found.setdefault((kind_of(message), category), [])
            if message not in texts:
                texts.append(message)


def kind_of(message):
    """Return a warning without what is particular to a file, a channel or a number."""
    return _PARTICULAR.sub("", " ".join(message.split()))


def _sink():
    """Return what shows warnings now: a nested recorder gets them at once."""
    return warnings.showwarning, getattr(warnings, "_showwarnmsg_impl", None)


def _action(message, category):
    """Return what the filters do with a warning of this package."""
    for action, text, kind, module, _ in warnings.filters:
        if module is None and issubclass(category, kind) and (not text or text.match(message)):
            return action
    return "default"


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
