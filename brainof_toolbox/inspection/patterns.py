"""Patterns of explicit features: how each varies with the decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._utils.validation import choose
from ..encoder.blocks import signals_for
from ..evaluation.docs import fill_evaluation_doc
from ..models.isolate import isolate_torch
from .maps import (
    CMAP,
    draw_markers,
    draw_scalp,
    make_axes,
    make_brain_axes,
    make_sensor_info,
    small_colorbar,
)
from .scoring import prepare

#: Blue and red keep apart for colour-blind readers; white is zero.
SIGNED = "RdBu_r"
_MOST_TIMES = 6
_FEWEST_SHOWN = 0.2  # regions whose magnitude is below this share of the largest are not drawn
_ALL = np.ones(1, dtype=bool)  # a modality that a batch does not have is missing


@dataclass(frozen=True, eq=False)
class BlockPattern:
    """Pattern of one set of explicit features.

    Parameters
    ----------
    name : str
        The block, such as ``"covariance"`` or ``"eeg_covariance"``.
    modality : str
        ``"eeg"``, ``"meg"`` or ``"fmri"``.
    feature : str
        ``"covariance"`` or ``"evoked"``.
    columns : tuple of str
        Names of the features.
    values : ndarray, shape (n_outputs, n_columns)
        Change of each feature per unit of each output.
    ch_names : tuple of str
        Virtual channels, or regions.
    ch_pos : ndarray, shape (n_channels, 3)
        Metres, head frame.
    bands : tuple of (float, float)
        Hz, of the covariance of EEG and MEG; else empty.
    times : ndarray, shape (n_times,)
        Centres in s, from the start of a sample, of the bins of an evoked time course;
        else empty.
    """

    name: str
    modality: str
    feature: str
    columns: tuple
    values: np.ndarray
    ch_names: tuple
    ch_pos: np.ndarray
    bands: tuple = ()
    times: np.ndarray = ()

    @property
    def ch_types(self):
        """Types of virtual channels: electrodes or magnetometers."""
        return ("eeg" if self.modality == "eeg" else "mag",) * len(self.ch_names)

    def to_dataframe(self):
        """Return the pattern as a table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``output`` (from 0), ``name``, ``pattern``; one row per output and feature.
        """
        output, column = (i.ravel() for i in np.indices(self.values.shape))
        names = np.array(self.columns, dtype=object)[column]
        return pd.DataFrame({"output": output, "name": names, "pattern": self.values.ravel()})

    def maps(self):
        """Arrange the pattern by channel or region.

        Returns
        -------
        maps : dict of str -> ndarray, shape (n_outputs, n_channels)
            Covariance of EEG and MEG: per band the pattern of the log power (the diagonal of the
            logarithm of the covariance). Correlations of regions: ``"strength"``, the sum over the
            pairs of a region, and ``"absolute strength"``, that of the magnitudes. Time courses:
            a map per bin for EEG and MEG, ``"mean"`` and ``"slope"`` for fMRI.
        """
        n_outputs, n = len(self.values), len(self.ch_names)
        if self.feature == "covariance" and self.modality == "fmri":
            i, j = np.triu_indices(n, k=1)
            square = np.zeros((n_outputs, n, n))
            square[:, i, j] = square[:, j, i] = self.values
            return {
                "strength": square.sum(axis=2),
                "absolute strength": np.abs(square).sum(axis=2),
            }
        if self.feature == "covariance":
            i, j = np.triu_indices(n)
            power = self.values.reshape(n_outputs, len(self.bands), -1)[:, :, i == j]
            names = [f"{low:g}-{high:g} Hz" for low, high in self.bands]
            return {name: power[:, band] for band, name in enumerate(names)}
        if self.modality == "fmri":
            courses = self.values.reshape(n_outputs, 2, n)
            return {"mean": courses[:, 0], "slope": courses[:, 1]}
        courses = self.values.reshape(n_outputs, n, -1)
        return {f"{1e3 * t:.0f} ms": courses[:, :, i] for i, t in enumerate(self.times)}


@fill_evaluation_doc
@dataclass(frozen=True, eq=False, repr=False)
class Patterns:
    """Patterns of the explicit features, by feature set.

    Parameters
    ----------
    parts : dict of str -> BlockPattern
        Pattern of each block.
    outputs : tuple of str
        What a positive pattern goes with: the second of two classes, each of more classes, or
        ``"target"``.
    unit : str
        Unit of the outputs.
    n_samples : int
        Number of samples.
    """

    parts: dict
    outputs: tuple
    unit: str
    n_samples: int

    def __repr__(self):
        sizes = ", ".join(f"{name}: {len(p.columns)} features" for name, p in self.parts.items())
        return f"<Patterns | {sizes}, outputs {', '.join(self.outputs)}, {self.n_samples} samples>"

    def part(self, block=None):
        """Return the pattern of one block.

        Parameters
        ----------
        %(block)s

        Returns
        -------
        part : BlockPattern
            Its pattern.

        Raises
        ------
        ValueError
            If there is no such block, or if ``block`` is None and there are several.
        """
        return self.parts[choose("block", block, self.parts)]

    def to_dataframe(self):
        """Return all patterns in one table.

        Returns
        -------
        frame : pandas.DataFrame
            Columns ``block, class, name, pattern``; ``class`` is that of ``outputs``.
        """
        tables = {block: part.to_dataframe() for block, part in self.parts.items()}
        frame = pd.concat(tables, names=["block", None]).reset_index(0).reset_index(drop=True)
        output = np.array(self.outputs, dtype=object)[frame.pop("output")]
        frame.insert(1, "class", output)
        return frame

    def to_evoked(self, block=None, output=None):
        """Return the pattern of an evoked time course as an Evoked, for plotting with MNE.

        Parameters
        ----------
        block : str | None
            Name of the block; ``None``: the only evoked course of EEG or MEG.
        %(output)s

        Returns
        -------
        evoked : mne.EvokedArray
            Virtual channels, with one time point per bin, at its start. Values are network units
            per unit of the output: plot them with ``scalings=1``.

        Raises
        ------
        ValueError
            If there is no such block or output, several and none is named, or the block is no
            evoked course of EEG or MEG.
        """
        import mne

        if block is None:
            names = [name for name, part in self.parts.items() if len(part.times)]
            block = names[0] if len(names) == 1 else None
        part = self.part(block)
        if not len(part.times):
            raise ValueError(
                f"The block {part.name!r} is no evoked course of EEG or MEG. Use plot() or "
                "to_dataframe()."
            )
        maps = part.maps().values()
        data = np.stack([values[self._row(output)] for values in maps], axis=1)
        step = part.times[1] - part.times[0] if len(part.times) > 1 else 2 * part.times[0]
        info = make_sensor_info(part.ch_names, part.ch_types, part.ch_pos, 1 / step)
        options = {"tmin": float(part.times[0] - step / 2), "comment": f"pattern of {part.name}"}
        return mne.EvokedArray(data, info, **options, verbose="error")

    def plot(self, block=None, output=None, axes=None):
        """Draw the pattern of a block.

        Parameters
        ----------
        %(block)s
        %(output)s
        axes : sequence of matplotlib.axes.Axes | None
            One per map; ``None`` makes a figure.

        Returns
        -------
        figure : matplotlib.figure.Figure
            EEG and MEG: topographies of the log power in each band, or of the time course at up
            to six times, all with one scale. fMRI: regions in a glass brain, the strength over
            the pairs of a region, signed and absolute; or mean and slope.

        Raises
        ------
        ValueError
            If there is no such block or output, or several and none is named.
        """
        part, row = self.part(block), self._row(output)
        label = f"towards {self.outputs[row]}" if self.unit == "log odds" else "with the target"
        maps = {name: values[row] for name, values in part.maps().items()}
        if part.modality == "fmri":
            return _plot_brains(part, maps, label, axes)
        return _plot_scalps(part, _strongest(maps) if len(part.times) else maps, label, axes)

    def _row(self, output):
        output = None if output is None else str(output)
        return self.outputs.index(choose("output", output, self.outputs))


@fill_evaluation_doc
@isolate_torch()
def patterns(estimator, X):
    """Compute how explicit features vary with the decision: patterns of the forward model.

    Weights of a linear decoder mix what goes with the decision and what cancels noise, so that
    they cannot be interpreted. The pattern ``A = cov(x, s) cov(s)^-1`` of features ``x`` and
    outputs ``s`` can :footcite:p:`haufe2014interpretation`: it is the change of a feature per unit
    of the output. It has the sign and the place of the effect that the decoder uses.

    Parameters
    ----------
    estimator : BrainOFClassifier | BrainOFRegressor
        Fitted with explicit features, as by default.
    X : object
        Samples in any accepted form, Montages may differ: features are of virtual channels.
        Their targets are not needed: patterns depend on the outputs of the decoder.

    Returns
    -------
    patterns : Patterns
        For two classes, per unit of the log odds of the second; for more classes, per unit of the
        log odds of each against the mean of all, the others fixed as far as they can be (a
        pseudoinverse: these outputs sum to zero); for numbers, per standard deviation of the
        target in training.

    Raises
    ------
    TypeError
        If the estimator is no classifier or regressor.
    ValueError
        If it is not fitted, uses no explicit features, or outputs do not vary over the samples.

    See Also
    --------
    occlusion_importance : What a decoder loses without a channel, time or band.

    Notes
    -----
    The covariance of EEG and MEG enters as a matrix logarithm, whose diagonal follows the log
    power at the virtual channels. Latents have no names, and no pattern.

    References
    ----------
    .. footbibliography::
    """
    case = prepare(estimator, X, None, is_one_montage=False)
    definitions = case.reader.explicit.definitions()
    if not definitions:
        raise ValueError(
            "Patterns are those of explicit features, and this decoder uses latents alone: fit it "
            "with features='auto' or 'explicit'."
        )
    blocks = case.decoder.align(case.blocks, case.samples)
    outputs = _decisions(case.decoder.decision(blocks))
    parts = {}
    for name, (modality, feature) in definitions.items():
        there = ~np.isnan(blocks[name][:, 0])
        if not there.any():
            continue
        batch = next(b for b in case.batches if not b.is_missing.get(modality, _ALL).all())
        _, signals = signals_for(feature, modality, batch)
        is_sensor = modality != "fmri"
        parts[name] = BlockPattern(
            name=name,
            modality=modality,
            feature=feature.name,
            columns=tuple(feature.columns(signals)),
            values=_regress(blocks[name][there], outputs[there], name),
            ch_names=tuple(feature.virtual.names(signals)),
            ch_pos=feature.virtual.positions(signals),
            bands=feature.bands if is_sensor and feature.name == "covariance" else (),
            times=feature.centres(signals) if is_sensor and feature.name == "evoked" else (),
        )
    is_classification = case.is_classification
    labels = [str(label) for label in estimator.classes_] if is_classification else ["target"]
    return Patterns(
        parts,
        tuple(labels[-outputs.shape[1] :]),
        "log odds" if is_classification else "standard deviations of the target",
        len(outputs),
    )


def _decisions(outputs):
    """Log odds (n, 1) of two classes, of each of more against their mean, or the target (n, 1)."""
    if outputs.shape[1] == 2:
        return outputs[:, 1:] - outputs[:, :1]
    return outputs - outputs.mean(axis=1, keepdims=True) if outputs.shape[1] > 1 else outputs


def _regress(rows, outputs, name):
    """Return ``cov(outputs)^-1 cov(outputs, rows)`` (n_outputs, n_columns)."""
    away = outputs - outputs.mean(axis=0)
    spread = away.T @ away
    if not (np.diag(spread) > 1e-12 * np.square(outputs).sum(axis=0)).any():
        raise ValueError(
            f"The decisions do not vary over the {len(rows)} samples with the block {name!r}: "
            "there is no pattern. Pass more samples, of several classes."
        )
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    return np.linalg.pinv(spread, rcond=1e-9, hermitian=True) @ (away.T @ centred)


# ------------------------------------------------------------------------------------ figures


def _strongest(maps):
    """Keep the strongest map of each of a few equal parts of time."""
    names = list(maps)
    parts = np.array_split(np.arange(len(names)), min(_MOST_TIMES, len(names)))
    power = [np.square(values).sum() for values in maps.values()]
    chosen = [names[max(part, key=power.__getitem__)] for part in parts]
    return {name: maps[name] for name in chosen}


def _plot_scalps(part, maps, label, axes):
    """Draw topographies side by side, with one scale."""
    axes = make_axes(axes, (1, len(maps)), (2.0, 2.4))
    top = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        image, _ = draw_scalp(ax, part, values, part.ch_types[0], cmap=SIGNED, vlim=(-top, top))
        ax.set_title(name, fontsize=9)
    what = "log power" if part.bands else "amplitude"
    small_colorbar(image, axes, f"pattern of {what}\n{label}", shrink=0.7)
    return axes[0].figure


def _plot_brains(part, maps, label, axes):
    """Draw regions in glass brains, the larger the stronger."""
    axes = make_brain_axes(axes, len(maps), 4.5)
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        is_signed = (values < 0).any()
        top = float(np.abs(values).max()) or 1.0
        size = np.abs(values) / top
        kept = size >= min(_FEWEST_SHOWN, np.sort(size)[-2])  # two regions at least
        order = np.flatnonzero(kept)[np.argsort(size[kept])]  # strong ones on top
        draw_markers(
            ax,
            part.ch_pos[order],
            values[order],
            2 + 70 * size[order] ** 2,
            node_cmap=SIGNED if is_signed else CMAP,
            node_vmin=-top if is_signed else 0,
            node_vmax=top,
        )
        ax.set_title(f"{name}, {label}", fontsize=9)
    return axes[0].figure
