"""The signal at fixed positions in the head, for any montage or atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .._utils.electrodes import share_a_reference
from .._utils.validation import check_number, check_option
from ..preprocessing import Preprocessing
from ..signals import Signals
from .maps import HEAD_CENTRE, field_map, region_map, spline_map
from .places import electrode_places, region_places

_FARTHEST = 0.5  # m from the centre of the head: beyond it, positions are not in metres
_WEAKEST = 1e-4  # network units: below this spread, M/EEG is still in V or T
_MAX_MAPS = 64  # montages whose matrices are kept


@dataclass(frozen=True)
class VirtualChannels:
    """Map sensors or regions to virtual channels at fixed positions.

    EEG: spherical splines [1]_ (stiffness 4, regularisation 1e-5) from the directions of the
    electrodes, then the average reference, so that the reference of the recording does not
    matter. Derivations between two electrodes ("Fp1-F7") are not potentials of a place and have
    no weight, unless there are fewer than three electrodes beside them; then all channels are
    interpolated, and not re-referenced. MEG: magnetometers and gradiometers together give the
    field of radial magnetometers by the minimum norm of dipoles along a sphere
    :footcite:p:`sarvas1987basic`, beside noise and a uniform field from distant sources:
    ``V G' (G G' + N)^-1``, with the gains ``G`` of the sensors and ``V`` of the virtual ones.
    fMRI: regions weighted by ``exp(-distance**2 / (2 * kernel**2))``.

    Parameters
    ----------
    n_channels : int
        Virtual channels of EEG and MEG, at most 32: electrodes of the 10-05 system, of which the
        first 16 cover the head too.
    n_regions : int
        Virtual regions of fMRI, at most 300, in grey matter.
    kernel : float
        Standard deviation in m of the weights of regions.
    regions : str
        ``"places"``: virtual regions, the same for every atlas. ``"own"``: the regions of the
        signals as they are, which needs one atlas for all samples (equal ``ch_names`` and
        ``ch_pos``); they separate neighbours better than virtual ones. fMRI only.

    References
    ----------
    .. [1] F. Perrin et al. (1989), Electroencephalography and Clinical Neurophysiology 72,
       184-187.
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox.features import VirtualChannels
    >>> from brainof_toolbox import datasets, from_epochs
    >>> VirtualChannels(n_channels=4).names(from_epochs(datasets.make_epochs(n_epochs=4)))
    ('F7', 'F3', 'Fz', 'F4')
    """

    n_channels: int = 32
    n_regions: int = 300
    kernel: float = 0.006
    regions: str = "places"

    def __post_init__(self):
        check_number("n_channels", self.n_channels, low=1, high=32, integer=True)
        check_number("n_regions", self.n_regions, low=2, high=300, integer=True)
        check_number("kernel", self.kernel, low=0.001, high=0.1)
        check_option("regions", self.regions, ("places", "own"))

    def names(self, signals):
        """Name the virtual channels.

        Parameters
        ----------
        signals : Signals
            Any samples; their modality matters, and with ``regions="own"`` their regions.

        Returns
        -------
        names : tuple of str
            Electrodes for EEG and MEG; for fMRI the centre in mm, head frame, or the own names.
        """
        if signals.modality != "fmri":
            return electrode_places(self.n_channels)[0]
        if self.regions == "own":
            return signals.ch_names
        places = np.round(1e3 * region_places(self.n_regions)).astype(int)
        return tuple(f"({x} {y} {z})" for x, y, z in places)

    def positions(self, signals):
        """Return where the virtual channels are.

        Parameters
        ----------
        signals : Signals
            Any samples; their modality matters, and with ``regions="own"`` their regions.

        Returns
        -------
        ch_pos : ndarray, shape (n_places, 3)
            Metres, head frame. MEG has the directions of the electrodes, on a helmet.
        """
        if signals.modality != "fmri":
            return electrode_places(self.n_channels)[1]
        if self.regions == "own":
            return signals.ch_pos.astype(np.float64)
        return region_places(self.n_regions)

    def weights(self, signals):
        """Return the matrix from channels to virtual channels.

        Parameters
        ----------
        signals : Signals
            Any samples of the montage.

        Returns
        -------
        weights : ndarray, shape (n_places, n_channels)
            For EEG including the average reference, where there is one. Read-only: the matrices
            of recent montages are kept.

        Raises
        ------
        TypeError
            If it is no ``Signals``.
        ValueError
            If positions are not in metres in the head frame, or there are gradiometers only and
            none has an orientation.
        """
        self._check_montage(signals)
        if self._keeps_regions(signals):
            return np.eye(len(signals.ch_names))
        weights = _make_weights(
            self,
            signals.modality,
            signals.ch_names,
            signals.ch_types,
            signals.ch_pos.astype(np.float64).tobytes(),
            signals.ch_ori.astype(np.float64).tobytes(),
            self.positions(signals).tobytes(),
        )
        if signals.modality == "meg" and not weights.any():
            raise ValueError(
                "All sensors are gradiometers, and none has an orientation (ch_ori): the "
                "direction of the derivative, a unit vector."
            )
        return weights

    def transform(self, signals):
        """Return the signal at the places.

        Parameters
        ----------
        signals : Signals
            Preprocessed windows: EEG and MEG in network units.

        Returns
        -------
        data : ndarray, shape (n_samples, n_places, n_times)
            Float64, in the units of the input; MEG in those of magnetometers.

        Raises
        ------
        TypeError, ValueError
            As for :meth:`weights`, and if signals are not preprocessed or hold gaps.
        """
        weights = self.weights(signals)
        check_preprocessed(signals)
        return weights @ signals.data

    def _keeps_regions(self, signals):
        """Return whether the virtual channels are the regions themselves."""
        return signals.modality == "fmri" and self.regions == "own"

    def _check_montage(self, signals):
        """Refuse anything but Signals with positions in metres."""
        if not isinstance(signals, Signals):
            raise TypeError(
                f"Features need Signals of one modality, got {type(signals).__name__}. Take the "
                "parts of a PairedSignals one by one."
            )
        ch_pos = signals.ch_pos.astype(np.float64)
        far = np.linalg.norm(ch_pos - HEAD_CENTRE, axis=1) > _FARTHEST
        if far.any():
            name, place = signals.ch_names[far.argmax()], ch_pos[far.argmax()]
            raise ValueError(
                f"Channel {name!r} lies at {np.round(place, 3).tolist()}, more than {_FARTHEST} "
                "m from the head. Positions (ch_pos) are in metres, in the head frame."
            )


@lru_cache(maxsize=_MAX_MAPS)
def _make_weights(virtual, modality, ch_names, ch_types, ch_pos, ch_ori, places):
    """Compute the matrix of a montage; arrays (n, 3) come as the bytes of float64."""
    arrays = (np.frombuffer(part).reshape(-1, 3) for part in (ch_pos, ch_ori, places))
    ch_pos, ch_ori, places = arrays
    if modality == "fmri":
        weights = region_map(ch_pos, places, virtual.kernel)
    elif modality == "eeg":
        is_electrode = share_a_reference(ch_names)
        weights = _electrode_map(ch_pos - HEAD_CENTRE, places - HEAD_CENTRE, is_electrode)
    else:
        sizes = Preprocessing().unit
        units = np.array([sizes[kind] / sizes["mag"] for kind in ch_types])
        is_grad = np.array(ch_types) == "grad"
        weights = field_map(ch_pos - HEAD_CENTRE, ch_ori, is_grad, units, places - HEAD_CENTRE)
    weights.flags.writeable = False
    return weights


def _electrode_map(ch_pos, places, is_electrode):
    """Splines from the electrodes that share a reference, centred; from all if there are none."""
    if not is_electrode.any():
        return spline_map(ch_pos, places)
    weights = np.zeros((len(places), len(ch_pos)))
    weights[:, is_electrode] = spline_map(ch_pos[is_electrode], places)
    return weights - weights.mean(axis=0)


def check_preprocessed(signals):
    """Refuse samples with gaps and M/EEG in SI units."""
    n_times = signals.shape[2]
    if signals.good_segments != ((0, n_times),):
        raise ValueError(
            f"These samples hold good segments {signals.good_segments} of {n_times} time points. "
            "Cut them into windows first (preprocess does)."
        )
    if signals.modality == "fmri":
        return
    data = signals.data
    spread = np.sqrt(np.mean((data - data.mean(axis=2, keepdims=True)).astype(np.float64) ** 2))
    if 0 < spread < _WEAKEST:
        raise ValueError(
            f"The {signals.modality} signals have a spread of {spread:.2g}: they look like SI "
            "units (V, T). Features need preprocessed signals, in network units (preprocess)."
        )
