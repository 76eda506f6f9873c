"""The network as a module of torch in braindecode's convention: voltages in, logits out.

B samples of a batch, F features
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .._utils.validation import as_seed, check_number, check_option
from ..encoder import Encoder
from ..io.amplitude import check_amplitude
from ..io.channels import pick_channels
from ..io.inputs import LazySamples
from ..models.isolate import isolate_torch
from ..signals import PairedSignals, Signals
from . import saving
from .heads import StandardizeAndProject
from .module_channels import as_info, describe_channels, read_channels, read_montage
from .parameters import as_json

#: Parameters that are saved; the channels are saved apart.
_KEPT = ("n_outputs", "n_times", "input_window_seconds", "pooling", "layer", "window", "scale")
_KEPT += ("highpass", "has_baseline", "missing_positions", "trainable")
_SAVED = {"format_version", "estimator", "parameters", "channels", "backbone", "preprocessing"}


class BrainOFModule(nn.Module):
    """Brain-OF :footcite:p:`guo2026brainof` with a linear head, for any training loop of torch.

    The arguments up to ``sfreq`` are those of braindecode's models, so that ``EEGClassifier`` of
    braindecode fills them in; ``skorch.NeuralNetClassifier`` takes them as ``module__n_outputs``
    and so on. Neither is needed.

    Parameters
    ----------
    n_outputs : int
        Number of classes, or of targets.
    n_chans : int | None
        Number of channels; only checked against ``chs_info``.
    chs_info : list of dict | mne.Info
        Channels in the order of ``x``, as in ``mne.Info["chs"]``: ``kind``, ``coil_type``, ``loc``
        and ``coord_frame`` say what each measures and where it is. Required. An ``mne.Info``
        brings also the place of the head in an MEG helmet, the channels marked bad, which are not
        read, and the high-pass filter.
    n_times : int | None
        Time points of a sample; None accepts any number.
    sfreq : float
        Sampling rate of ``x`` in Hz. Required, unless ``chs_info`` is an ``mne.Info``.
    input_window_seconds : float | None
        Duration of a sample in seconds; only checked against ``n_times``.
    checkpoint : str | path-like | None
        As of :class:`~brainof_toolbox.BrainOFEmbedder`; None starts from untrained weights.
    pooling : str
        ``"mean"``, ``"mean+std"``, ``"flatten"``, ``"compact"`` or ``"auto"``: how latents become
        features, as of :class:`~brainof_toolbox.BrainOFEmbedder`.
    layer : int | None
        Layers of the backbone that are run; None is all.
    window : float | None
        Samples that are longer, in seconds, are cut into windows whose features are averaged;
        None: the length in the checkpoint's preprocessing.
    scale : float
        Factor from ``x`` to SI units (V, T, T/m): ``1e-6`` for microvolts.
    highpass : float | None
        Cut-off in Hz of a high-pass filter that the data have had; None: that of an ``mne.Info``,
        or none. At 0.5 or above, samples too short for a filter keep their mean.
    has_baseline : bool
        Whether values are relative to a baseline, so that means are signal rather than offset.
    missing_positions : str
        What happens to channels without a position: ``"raise"``, or ``"placeholder"`` for
        placeholder positions by their order.
    trainable : str
        ``"all"``, or ``"head"`` for a frozen backbone.
    random_state : int | None
        Seed of the head, and of untrained weights; None is 0. The global random state is neither
        read nor changed.

    Attributes
    ----------
    backbone : BrainOF
        The network.
    encoder : Encoder
        Preprocessing and pooling; the weights are those of ``backbone``.
    mean, inv_std : torch.Tensor, shape (F,)
        Subtracted from the features, and multiplied with them; see :meth:`standardise`.
    head : torch.nn.Linear
        From features to outputs.

    Raises
    ------
    ValueError, TypeError
        If a parameter is wrong, ``chs_info`` is missing or does not fit ``n_chans``, or a channel
        has no position.

    Notes
    -----
    Preprocessing (filter, resampling, scale, soft limit) is that of the checkpoint. It is done in
    each forward pass on the CPU, outside the graph: no gradient reaches ``x``.

    Logits come out: the loss is :class:`torch.nn.CrossEntropyLoss`, also in skorch, whose
    classifier would take another one.

    References
    ----------
    .. footbibliography::
    """

    @isolate_torch()
    def __init__(
        self,
        n_outputs,
        n_chans=None,
        chs_info=None,
        n_times=None,
        sfreq=None,
        *,
        input_window_seconds=None,
        checkpoint="brainof-tiny",
        pooling="mean",
        layer=None,
        window=None,
        scale=1.0,
        highpass=None,
        has_baseline=False,
        missing_positions="raise",
        trainable="all",
        random_state=None,
    ):
        super().__init__()
        self._options = {name: value for name, value in locals().items() if name in _KEPT}
        self.n_outputs = check_number("n_outputs", n_outputs, low=1, integer=True)
        self.scale = check_number("scale", scale, low=0, low_open=True)
        self.has_baseline = check_option("has_baseline", has_baseline, (True, False))
        check_option("trainable", trainable, ("all", "head"))
        info = as_info(chs_info, n_chans, sfreq)
        self.n_chans, self.sfreq = len(info["ch_names"]), float(info["sfreq"])
        self.n_times = _check_n_times(n_times, input_window_seconds, self.sfreq)
        self.highpass = info["highpass"]
        if highpass is not None:
            self.highpass = check_number("highpass", highpass, low=0)
        self._info, picks = info, pick_channels(info)
        self._montage = [read_montage(info, *item, missing_positions) for item in picks.items()]
        seed = as_seed(random_state)
        encoder = Encoder(
            checkpoint, pooling=pooling, layer=layer, window=window, random_state=seed
        )
        self.backbone = encoder.token_network
        modalities = [fields["modality"] for fields, _ in self._montage]
        encoder.note_modalities([LazySamples(0, None, modalities=modalities)])
        # The parameters are the module's: its encoder prepares windows and tokens.
        self.encoder = encoder.without_network()
        if trainable == "head":
            self.backbone.requires_grad_(False)
        # Only pretraining uses these.
        for part in (*self.backbone.decoder_parts(), self.backbone.content.mask):
            part.requires_grad_(False)
        n_features = encoder.n_columns
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("inv_std", torch.ones(n_features))
        self.head = _make_head(n_features, self.n_outputs, seed)

    @isolate_torch()
    def save_pretrained(self, directory, *, backbone="auto"):
        """Save the module: channels, parameters and weights, in JSON and safetensors.

        Parameters
        ----------
        directory : path-like
            An existing one, written by this method, is replaced in one step.
        backbone : str
            As of :meth:`.BrainOFClassifier.save_pretrained`; weights that were trained are saved
            inside.

        Raises
        ------
        ValueError
            If trained weights are to be outside, or the directory holds other files.
        OSError
            If the directory cannot be written; what was there before stays.
        """
        encoder, is_own = copy.copy(self.encoder), self._is_trained()
        encoder.backbone = encoder.backbone.receive(self.backbone)
        reference = encoder.checkpoint_info, encoder.backbone.weights, backbone, is_own
        if is_own:
            encoder = encoder.with_network(self.backbone)
        description = {
            "format_version": saving.FORMAT_VERSION,
            "estimator": type(self).__name__,
            "parameters": as_json(self._options),
            "channels": describe_channels(self._info),
            "backbone": saving.refer(*reference),
            "preprocessing": encoder.preprocessing.to_dict(),
        }
        own = self.state_dict().items()
        state = {f"network.{name}": x for name, x in own if not name.startswith("backbone.")}
        saving.write(directory, description, state, encoder)

    def _is_trained(self):
        """Return whether the weights differ from those of the checkpoint."""
        if self.encoder.checkpoint_info["name"] is None:
            return False
        source = Encoder(self.encoder.checkpoint_info["name"]).network.state_dict()
        own = self.backbone.state_dict()
        return any(not torch.equal(x, own[name].to(x.device)) for name, x in source.items())

    @classmethod
    @isolate_torch()
    def from_pretrained(cls, directory, *, checkpoint=None):
        """Load what :meth:`save_pretrained` saved.

        Parameters
        ----------
        directory : path-like
            From :meth:`save_pretrained`.
        checkpoint : str | path-like | None
            The checkpoint, where it has another name than when the module was made.

        Returns
        -------
        module : BrainOFModule
            The module, on the CPU.

        Raises
        ------
        FileNotFoundError
            If the directory holds no module, or its checkpoint is missing.
        ValueError
            If it is damaged, of another version or class, or its checkpoint has changed.
        """
        directory = Path(directory)
        description = saving.read_description(directory, cls.__name__, _SAVED)
        path = directory / saving.DESCRIPTION
        source = saving.find_checkpoint(directory, description["backbone"], checkpoint)
        try:
            info = read_channels(description["channels"])
            module = cls(**description["parameters"], chs_info=info, checkpoint=source)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error}. Save the module again.") from error
        saving.check_backbone(module.encoder, description, path)
        own = module.state_dict()
        head = {f"network.{k}": x for k, x in own.items() if not k.startswith("backbone.")}
        shapes = {name: tuple(tensor.shape) for name, tensor in head.items()}
        parts = saving.read_tensors(directory / saving.WEIGHTS, shapes)
        module.load_state_dict({**own, **parts["network"]})
        return module

    def forward(self, x):
        """Predict outputs of samples.

        Parameters
        ----------
        x : torch.Tensor, shape (B, n_chans, n_times)
            In V, T and T/m once multiplied by ``scale``; float32 or float64.

        Returns
        -------
        logits : torch.Tensor, shape (B, n_outputs)
            On the device of the weights.

        Raises
        ------
        TypeError
            If ``x`` is no tensor of such numbers.
        ValueError
            If its shape does not fit, samples are too short, a value is not finite, or amplitudes
            are impossible for their unit.
        """
        return self.head((self.embed(x) - self.mean) * self.inv_std)

    @isolate_torch()
    @torch.no_grad()
    def standardise(self, x):
        """Standardise the features that the head takes by their mean and spread in these samples.

        Without it, what all samples share is large beside their differences, and one learning
        rate does not fit all features. Call it once with training samples, before training; the
        two vectors are buffers, saved with the weights and never trained.

        Parameters
        ----------
        x : torch.Tensor, shape (B, n_chans, n_times)
            As for :meth:`forward`.

        Returns
        -------
        self : BrainOFModule
            The module.

        Raises
        ------
        TypeError, ValueError
            As of :meth:`forward`.
        """
        scaler = StandardizeAndProject().fit(self.embed(x).cpu().numpy())
        self.mean.copy_(torch.as_tensor(scaler.mean_))
        self.inv_std.copy_(torch.as_tensor(1.0 / scaler.scale_))
        return self

    def embed(self, x):
        """Compute features of samples, before they are standardised.

        Parameters
        ----------
        x : torch.Tensor, shape (B, n_chans, n_times)
            As for :meth:`forward`.

        Returns
        -------
        features : torch.Tensor, shape (B, F)
            The mean over the windows of each sample.

        Raises
        ------
        TypeError, ValueError
            As of :meth:`forward`.
        """
        signals, n_samples = self._read(x), len(x)
        device, encoder = self.head.weight.device, self.encoder
        encoder.configure(batch_size=n_samples, device=device)
        kind = {"device": device, "dtype": torch.float32}
        total = torch.zeros(n_samples, self.head.in_features, **kind)
        count = torch.zeros(n_samples, 1, **kind)
        samples = [LazySamples(n_samples, signals.__getitem__, "x")]
        for batch in encoder.windows(samples):
            tokens = encoder.tokens(batch, np.arange(len(batch)))
            latents = self.backbone(tokens, layer=encoder.layer)
            features = encoder.pooler.rows(self.backbone, latents, tokens)
            sample = torch.as_tensor(batch.sample, device=device)
            total = total.index_add(0, sample, features.float())
            count = count.index_add(0, sample, torch.ones_like(features[:, :1]).float())
        return total / count

    def _read(self, x):
        """Check a batch and add positions: Signals, or PairedSignals."""
        if not isinstance(x, torch.Tensor) or x.dtype not in (torch.float32, torch.float64):
            got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise TypeError(
                f"x must be a tensor of float32 or float64, got {got}. Half precision does not "
                "hold volts."
            )
        wanted = f"(batch, {self.n_chans}, {self.n_times or 'n_times'})"
        fits = x.ndim == 3 and len(x) and x.shape[1] == self.n_chans
        if not fits or (self.n_times is not None and x.shape[2] != self.n_times):
            raise ValueError(f"x must be {wanted}, none empty, got {tuple(x.shape)}.")
        data = x.detach().to("cpu", torch.float64).numpy() * self.scale
        parts = {}
        for fields, picks in self._montage:
            part = Signals(
                data=data[:, picks],
                sfreq=self.sfreq,
                highpass=self.highpass,
                has_baseline=self.has_baseline,
                **fields,
            )
            _check_units(part, self.scale)
            parts[fields["modality"]] = part
        return next(iter(parts.values())) if len(parts) == 1 else PairedSignals(parts)


def _check_units(signals, scale):
    try:
        check_amplitude(signals, where=f"x times scale={scale:g}")
    except ValueError as error:
        raise ValueError(
            f"{error} Or let the module do so: scale= takes the factor from x to SI units, which "
            "is 1e-6 for the microvolts that braindecode's EEGClassifier makes of epochs."
        ) from None


def _make_head(n_features, n_outputs, seed):
    """A linear layer as torch starts it, without the global random state."""
    head = nn.utils.skip_init(nn.Linear, n_features, n_outputs)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in (head.weight, head.bias):
            values.uniform_(-(n_features**-0.5), n_features**-0.5, generator=draw)
    return head


def _check_n_times(n_times, seconds, sfreq):
    if n_times is not None:
        n_times = check_number("n_times", n_times, low=2, integer=True)
    if seconds is not None:
        found = round(check_number("input_window_seconds", seconds, low=0, low_open=True) * sfreq)
        if n_times is not None and n_times != found:
            raise ValueError(
                f"n_times={n_times} and input_window_seconds={seconds} at {sfreq:g} Hz do not "
                "agree: pass one of them."
            )
        n_times = found
    return n_times
