"""What sphinx-gallery does before each example, so that none depends on those before it."""

from __future__ import annotations

import warnings


def reset(gallery_conf, fname):
    """Warnings as in a fresh session, MNE no louder than them, figures that fit a page.

    Parameters
    ----------
    gallery_conf : dict
        The configuration of the gallery.
    fname : str
        The example.
    """
    import matplotlib as mpl
    import mne

    warnings.resetwarnings()
    for text in (".*no GUI.*", ".*non-interactive.*", ".*cannot show.*"):
        warnings.filterwarnings("ignore", message=text)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    mne.set_log_level("warning")
    mpl.rcParams["figure.dpi"] = 100
