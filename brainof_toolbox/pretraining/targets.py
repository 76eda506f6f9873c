"""The quantities that terms of pretraining predict, by the functions of :mod:`..features`.

Needs scipy, unlike training without terms.

C channels, T time points, V places, Q columns
"""

from __future__ import annotations

import numpy as np

from ..features import BAND_BANK, Covariance, VirtualChannels
from ..features.places import sensors_at
from ..features.second_order import fisher_z, log_covariances, log_powers
from ..models.config import MODALITY_CODES, SENSOR_TYPES
from ..signals import Signals
from .corpus import CorpusSample
from .terms import SPECTRUM

BANDS = BAND_BANK
#: Lines of the fine spectrum in Hz: 1 to 45, each 1 Hz wide.
LINES = tuple((k - 0.5, k + 0.5) for k in range(1, 46))


class Targets:
    """Quantities of clean samples."""

    def __init__(self, training):
        self.virtual = VirtualChannels(training.term_places, training.term_regions)
        self.shrinkage = Covariance().shrinkage

    def second_order(self, sample):
        """Return log-covariances in bands (EEG, MEG) or Fisher's z (fMRI) of the places, (Q,)."""
        if _kind(sample) == "fmri":
            return fisher_z(sample.data[None], self._map(sample))[0]
        _check_rate(sample, BANDS[-1][1])
        places = self._places(sample)[None]
        rows = log_covariances(places, sample.sfreq, BANDS, self.shrinkage)
        return rows.ravel().astype(np.float32)

    def fine_spectrum(self, sample):
        """Return the log-power of lines 1 Hz apart at the places of EEG and MEG, (Q,)."""
        _check_rate(sample, LINES[-1][1])
        rows = log_powers(self._places(sample)[None], sample.sfreq, LINES)
        return rows.ravel().astype(np.float32)

    def columns(self, sample, name):
        """Compute the quantity that the read-out of a term predicts."""
        return self.fine_spectrum(sample) if name == SPECTRUM else self.second_order(sample)

    def course(self, sample):
        """Return the signal at the places of EEG and MEG, as a sample."""
        places = self.virtual.positions(self._montage(sample))
        position, orientation, sensor = sensors_at(places, _kind(sample))  # (V, 3), (V, 3)
        return CorpusSample(
            data=self._places(sample).astype(np.float32),
            sfreq=sample.sfreq,
            position=position,
            orientation=orientation,
            sensor_type=np.full(len(position), SENSOR_TYPES.index(sensor), np.int64),
            log_scale=np.zeros(len(position), np.float32),
            modality=sample.modality,
            dataset=sample.dataset,
            index=sample.index,
        )

    def _places(self, sample):
        return self._map(sample) @ sample.data  # (V, T)

    def _map(self, sample):
        """Return the map from channels to places (V, C)."""
        return self.virtual.weights(self._montage(sample))

    @staticmethod
    def _montage(sample):
        """Return signals without values on the channels of a sample."""
        n_channels = len(sample.position)
        return Signals(
            data=np.zeros((1, n_channels, 1), np.float32),
            sfreq=sample.sfreq,
            modality=_kind(sample),
            ch_names=[str(number) for number in range(n_channels)],
            ch_types=[SENSOR_TYPES[kind] for kind in sample.sensor_type],
            ch_pos=sample.position,
            ch_ori=sample.orientation,
        )


def _kind(sample):
    return MODALITY_CODES[sample.modality]


def _check_rate(sample, highest):
    if sample.sfreq < 2 * highest:
        raise ValueError(
            f"Sample {sample.index} of the corpus (dataset {sample.dataset!r}) has a rate of "
            f"{sample.sfreq:g} Hz; terms up to {highest:g} Hz need at least {2 * highest:g} Hz. "
            "Leave the term out, or build the corpus at a higher rate."
        )
