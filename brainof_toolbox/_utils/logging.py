"""Logger, warnings and progress bars of the package."""

from __future__ import annotations

import importlib.util
import logging
import math
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
MANY_SECONDS = 3.0  # work that is done before shows no progress
_INTERVAL = 30.0  # s between lines where there is no terminal
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


def progress(iterable=None, *, total=None, description="", enabled=None, initial=0):
    """Wrap an iterable in a bar, or in plain lines where there is no terminal."""
    # enabled: None shows it after MANY_SECONDS seconds, True at once, False never.
    if enabled is False:
        return _tqdm(False)(iterable, total=total, initial=initial, disable=True)
    options = {"total": total, "desc": description, "initial": initial, "disable": False}
    options |= {"delay": 0 if enabled else MANY_SECONDS, "leave": None}
    is_notebook = _is_notebook()
    if not is_notebook and not sys.stderr.isatty():
        has_total = total is not None or hasattr(iterable, "__len__")
        count = "{n_fmt} of {total_fmt}, {remaining} left" if has_total else "{n_fmt}"
        options |= {"bar_format": f"{{desc}}: {count}, {{elapsed}} passed{{postfix}}"}
        # One line per interval: neither positions of nested bars nor a faster monitor.
        options |= {"mininterval": _INTERVAL, "maxinterval": _INTERVAL, "miniters": 1}
        options |= {"file": _Lines(), "position": 0, "leave": True}
    return _tqdm(is_notebook)(iterable, **options)


def inform(message, enabled=None):
    """Print a line of progress to stderr, unless it is disabled."""
    if enabled is not False:
        print(message, file=sys.stderr, flush=True)


def describe_seconds(seconds):
    """Return a duration in words, rounded up to tens of seconds or minutes."""
    if seconds <= 90:
        return f"{10 * max(1, math.ceil(seconds / 10))} s"
    return f"{math.ceil(seconds / 60)} min"


class _Lines:
    """A file for bars that writes each state as a line to stderr."""

    def write(self, text):
        text = text.strip()
        if text:
            inform(text)

    def flush(self):
        sys.stderr.flush()


def _is_notebook():
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def _tqdm(is_notebook):
    """Return the bar of widgets where they are installed, else the one of text."""
    if is_notebook and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm
