"""From a file or an object to Signals; nothing here imports torch."""

from ._bids import Records, read_bids
from ._files import read_recording
from ._mne import from_array, from_epochs, from_raw
from ._nifti import from_nifti
from ._participants import read_participants
from ._roi_series import from_roi_timeseries
from ._trials import Trials, epochs_from_bids

__all__ = [
    "Records",
    "Trials",
    "epochs_from_bids",
    "from_array",
    "from_epochs",
    "from_nifti",
    "from_raw",
    "from_roi_timeseries",
    "read_bids",
    "read_participants",
    "read_recording",
]
