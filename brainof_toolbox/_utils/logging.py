"""One logger, one kind of warning, and progress bars that vanish when nobody watches."""

from __future__ import annotations

import logging
import sys
import warnings

logger = logging.getLogger("brainof_toolbox")
#: Packages whose lines a user cannot change, on the way from his call to a warning.
_BETWEEN = ("brainof_toolbox", "joblib", "sklearn", "tqdm")


def warn(message, category=RuntimeWarning):
    """Warn at the user's line: the first outside the package and those it is called through.

    Parameters
    ----------
    message : str
        What happened, to which channel, file or subject, and what to do.
    category : type
        The warning class.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _root(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _root(frame):
    return frame.f_globals.get("__name__", "").split(".")[0]


def progress(iterable, *, total=None, description="", enabled=True):
    """Wrap an iterable in a tqdm bar that shows on a terminal only.

    Parameters
    ----------
    iterable : iterable
        What to go through.
    total : int | None
        Its length, when ``len`` does not tell.
    description : str
        The words left of the bar.
    enabled : bool
        ``False`` hides the bar on a terminal too.

    Returns
    -------
    bar : iterable
        The same items.
    """
    from tqdm.auto import tqdm

    # tqdm's own disable=None means "hide unless stderr is a terminal".
    return tqdm(
        iterable, total=total, desc=description, disable=None if enabled else True, leave=False
    )
