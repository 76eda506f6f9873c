"""Read files and objects as Signals, without torch."""

from .bids import Records, read_bids
from .epochs import epochs_from_bids
from .image_trials import epochs_from_nifti
from .images import from_nifti
from .participants import read_participants
from .recordings import read_recording
from .roi_series import from_roi_timeseries
from .sensors import from_array, from_epochs, from_raw
from .trials import Trials

__all__ = [
    "Records",
    "Trials",
    "epochs_from_bids",
    "epochs_from_nifti",
    "from_array",
    "from_epochs",
    "from_nifti",
    "from_raw",
    "from_roi_timeseries",
    "read_bids",
    "read_participants",
    "read_recording",
]
