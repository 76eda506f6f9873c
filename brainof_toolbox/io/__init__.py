"""From a file or an object to Signals; nothing here imports torch."""

from ._files import read_recording
from ._mne import from_array, from_epochs, from_raw

__all__ = ["from_array", "from_epochs", "from_raw", "read_recording"]
