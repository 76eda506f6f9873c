"""The whole network: tokens to latents, latents to latents, latents to patches.

B batch, S tokens, P patch, M latents, D width
"""

from __future__ import annotations

import torch
from torch import nn

from .._utils.validation import check_number
from .attention import DintAttention, PlainAttention
from .config import MODALITY_CODES, BrainOFConfig
from .embedding import ContentEmbedding, PlaceEmbedding
from .isolate import isolate_torch
from .layers import BiasFreeLinear, LayerScale, RMSNorm, call_block
from .moe import Experts, RoutingRecord, balance_loss
from .readout import RECONSTRUCTION, build_read_outs, keep_group, sizes_of, stack_outputs
from .resampler import Arness, CrossAttention, FeedForward, latent_points
from .tokens import TokenBatch

__all__ = ["USUAL_GAIN", "BrainOF", "Layer"]

USUAL_GAIN = 0.1


class Layer(nn.Module):
    """A layer of the backbone: self-attention, then experts.

    Parameters
    ----------
    config : BrainOFConfig
        Shape of the network.
    number : int
        From 1.
    """

    def __init__(self, config, number):
        super().__init__()
        width, n_heads, eps = config.width, config.n_heads, config.norm_eps
        self.norm = RMSNorm(width, eps)
        if config.attention == "dint":
            self.attention = DintAttention(width, n_heads, number, eps)
        else:
            self.attention = PlainAttention(width, n_heads)
        self.scale = LayerScale(width, config.layer_scale)
        self.feed_forward = FeedForward(config)

    def forward(self, x, record=None):
        """Apply to the latents."""
        # x (B, M, D) -> x (B, M, D).
        x = self.scale(x, self.attention(self.norm(x)))
        return self.feed_forward(x, record)


class BrainOF(nn.Module):
    """The Brain-OF network :footcite:p:`guo2026brainof`, written from its description.

    Parameters
    ----------
    config : BrainOFConfig | None
        Shape of the network; None is the preset tiny.
    random_state : int | None
        Seed of the initial weights. The global random state is neither read nor changed. None
        draws nothing and leaves the parameters on the meta device, for counting and loading.

    Attributes
    ----------
    checkpoint_activations : bool
        Whether training keeps only what goes into each block, and computes the inside again in
        the backward pass: less memory, a third more work, the same numbers. Initially False.

    References
    ----------
    .. footbibliography::
    """

    @isolate_torch()
    def __init__(self, config=None, random_state=0):
        super().__init__()
        config = BrainOFConfig() if config is None else config
        if not isinstance(config, BrainOFConfig):
            raise TypeError(
                f"config must be a BrainOFConfig, got {type(config).__name__}. "
                f"For a preset write BrainOFConfig.preset('tiny')."
            )
        if random_state is not None:
            random_state = check_number("random_state", random_state, low=0, integer=True)
        self.config = config
        self.checkpoint_activations = False
        with torch.device("meta"):
            self.content = ContentEmbedding(config)
            self.place = PlaceEmbedding(config)
            self.latents = nn.Parameter(
                torch.empty(config.n_latents, config.width, dtype=torch.float32)
            )
            self.encoder = Arness(config, config.n_encoder_blocks)
            self.layers = nn.ModuleList(Layer(config, i + 1) for i in range(config.n_layers))
            self.norm = RMSNorm(config.width, config.norm_eps)
            is_whole = config.decoder_input == "latents"
            self.decoder = Arness(
                config, config.n_decoder_blocks, values_include_position=is_whole
            )
            self.patch = BiasFreeLinear(config.width, config.patch_size)
            if config.predicts_spectrum:
                n_frequencies = config.patch_size // 2 + 1
                self.spectrum = BiasFreeLinear(config.width, n_frequencies)
                self.usual_spectrum = BiasFreeLinear(config.width, n_frequencies)
            if config.read_outs:
                self.read_outs = build_read_outs(config)
        if random_state is not None:
            self._allocate()
            self._initialise(torch.Generator("cpu").manual_seed(random_state))

    def _allocate(self):
        for module in self.modules():
            for name, parameter in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(torch.empty_like(parameter, device="cpu")))
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.is_meta:
                    setattr(module, name, torch.empty_like(buffer, device="cpu"))

    @torch.no_grad()
    def _initialise(self, generator):
        # Children come first, so that a module may adjust what its parts have drawn.
        for module in reversed(list(self.modules())):
            if hasattr(module, "initialise"):
                module.initialise(generator)
        if self.config.latent_init == "random":
            nn.init.normal_(self.latents, generator=generator)
            return
        points = latent_points(self.config.n_latents, self.config.latent_span, generator)
        features = self.place.features(*points)  # (M, F of position and time)
        columns = self.place.place.weight[:, : features.shape[1]]
        self.latents.copy_(features @ columns.T * self.place.gain())  # (M, D)
        for module in self.modules():
            if isinstance(module, CrossAttention):
                module.locate(self.place)

    def forward(self, tokens, return_balance=False, routing=None, layer=None):
        """Embed samples.

        Parameters
        ----------
        tokens : TokenBatch | sequence of TokenBatch
            One modality, or several of the same samples, read in this order. A row whose tokens
            are all padding is a missing modality, and is not read.
        return_balance : bool
            Return the auxiliary loss of the experts too.
        routing : RoutingRecord | None
            Receives the first four arguments of :func:`.moe.balance_loss` of each gate.
        layer : int | None
            Stop after so many layers of the backbone: 0 gives the latents that have read the
            tokens, ``config.n_layers`` is all of them, and so is None. The final norm follows
            in any case, so that latents of all depths have one scale.

        Returns
        -------
        latents : torch.Tensor, shape (B, M, D)
            The embedding.
        balance : torch.Tensor, shape ()
            Mean over all gates; 1 when experts are evenly used. Only on request.

        Raises
        ------
        TypeError, ValueError
            If the tokens do not fit the network or each other, or there is no such layer.
        """
        parts = [tokens] if isinstance(tokens, TokenBatch) else list(tokens)
        self._check(parts)
        if layer is not None:
            check_number("layer", layer, low=0, high=self.config.n_layers, integer=True)
        is_asked = return_balance or routing is not None
        found = []
        latents = self.latents[None]  # (1, M, D): all samples start equal
        group = parts[0].modality.new_zeros(len(parts[0]))  # (B,), one bit per modality read
        recompute = self._recompute()
        for part in parts:
            record = RoutingRecord() if is_asked else None
            latents = self.encoder(
                latents, self.place(part), self.content(part), part.is_padding, record, recompute
            )
            if is_asked:
                is_read = ~part.is_padding.all(-1)  # (B,)
                group = group | torch.where(is_read, 2**part.modality, 0)
                found += [_gate(*entry, group, is_read[:, None]) for entry in record]
        record = RoutingRecord() if is_asked else None
        for block in self.layers[:layer]:
            latents = call_block(block, latents, record=record, recompute=recompute)
        latents = self.norm(latents)
        if not is_asked:
            return latents
        found += [_gate(*entry, group) for entry in record]
        return self._hand_out(latents, found, return_balance, routing)

    def decode(self, latents, queries, return_balance=False, routing=None, group=RECONSTRUCTION):
        """Reconstruct patches at any place and time.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.
        queries : TokenBatch
            Where, when and what; their values are not read.
        return_balance : bool
            Return the auxiliary loss of the experts too.
        routing : RoutingRecord | None
            Receives the first four arguments of :func:`.moe.balance_loss` of each gate.
        group : str
            Group of latents that is read, where the network has ``latent_groups``.

        Returns
        -------
        values : torch.Tensor, shape (B, S, P)
            Patches; meaningless where the queries are padding.
        balance : torch.Tensor, shape ()
            Mean over all gates of the decoder. Only on request.

        Raises
        ------
        TypeError, ValueError
            If the queries do not fit the network or the latents.
        """
        record = RoutingRecord() if return_balance or routing is not None else None
        # x (B, S, D), asked (B or 1, S, D)
        x, asked = self._ask(latents, queries, record, group)
        is_change = self.config.decoder_input == "residual"
        values = self.patch(x - asked if is_change else x)  # (B, S, P)
        if record is None:
            return values
        return self._hand_out(values, _found(record, queries), return_balance, routing)

    def decode_spectrum(self, latents, queries, routing=None):
        """Reconstruct the log-amplitude spectra of channels over the whole of a sample.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.
        queries : TokenBatch
            One per channel: where and what, and as when the middle and the length of the sample.
        routing : RoutingRecord | None
            Receives the first four arguments of :func:`.moe.balance_loss` of each gate.

        Returns
        -------
        spectrum : torch.Tensor, shape (B, C, P / 2 + 1)
            As :meth:`.ContentEmbedding.log_spectrum`; meaningless where queries are padding.

        Raises
        ------
        TypeError, ValueError
            If the queries do not fit the network or the latents, or the network does not
            predict spectra.
        """
        if not self.config.predicts_spectrum:
            raise ValueError(
                "This network predicts no spectra: see predicts_spectrum of its config."
            )
        record = None if routing is None else RoutingRecord()
        x, asked = self._ask(latents, queries, record)  # 2 x (B, C, D)
        # The usual spectrum at a place is predicted from the query alone, so latents need not hold
        # it. Its gain makes up for the norm of queries: a training step would move it too far.
        usual = self.usual_spectrum(asked) * USUAL_GAIN
        spectrum = self.spectrum(x - asked) + usual  # (B, C, F)
        if record is None:
            return spectrum
        return self._hand_out(spectrum, _found(record, queries), False, routing)

    def _ask(self, latents, queries, record, group=RECONSTRUCTION):
        """Decode queries from the latents; return the updated and the initial queries."""
        self._check([queries])
        if latents.shape != (len(queries), *self.latents.shape):
            raise ValueError(
                f"latents must have shape {(len(queries), *self.latents.shape)} to go with these "
                f"queries, got {tuple(latents.shape)}."
            )
        if self.config.latent_groups:
            initial = self.norm(self.latents).to(latents.dtype)
            latents = keep_group(self.config, latents, initial, group)
        # Keys use the initial places of the latents, values their final state.
        place = self.latents[None]  # (1, M, D)
        asked = self.place(queries)  # (B or 1, S, D)
        is_change = self.config.decoder_input == "residual"
        content = latents - self.norm(self.latents) if is_change else latents  # (B, M, D)
        x = self.decoder(asked, place, content, None, record, self._recompute())  # (B, S, D)
        return x, asked

    def read_out(self, latents, modality):
        """Embed samples by the predictions of all read-outs of a modality, side by side.

        Each block is divided by the square root of its length, so that blocks whose quantity is
        predicted equally well count alike.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.
        modality : str
            ``"eeg"``, ``"meg"`` or ``"fmri"``; for fused latents one of those that were read.

        Returns
        -------
        rows : torch.Tensor, shape (B, O)
            The compact embedding, in float32: at most 512 numbers.

        Raises
        ------
        ValueError
            If the network has no read-out of this modality, or the latents are not its own.
        """
        return stack_outputs(self, self.change(latents), modality)

    def read_out_sizes(self, modality):
        """Return the blocks of :meth:`read_out`.

        Parameters
        ----------
        modality : str
            As above.

        Returns
        -------
        sizes : dict of str -> int
            Numbers of each block by its name, in their order; empty if there are none.
        """
        return sizes_of(self.config, modality)

    def change(self, latents):
        """Return what reading a sample changed in the latents.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.

        Returns
        -------
        change : torch.Tensor, shape (B, M, D)
            Latents minus their initial values, in float32.

        Raises
        ------
        ValueError
            If the latents are not of this network.
        """
        if latents.shape[1:] != self.latents.shape:
            raise ValueError(
                f"latents must have shape (B, {', '.join(map(str, self.latents.shape))}), got "
                f"{tuple(latents.shape)}."
            )
        return latents.float() - self.norm(self.latents).float()

    def decoder_parts(self):
        """List the modules that only pretraining uses.

        Returns
        -------
        parts : list of torch.nn.Module
            The decoder, the maps to patches and spectra, and the read-outs.
        """
        parts = [self.decoder, self.patch]
        if self.config.predicts_spectrum:
            parts += [self.spectrum, self.usual_spectrum]
        if self.config.read_outs:
            parts.append(self.read_outs)
        return parts

    def n_parameters(self, active=False):
        """Count parameters.

        Parameters
        ----------
        active : bool
            Count only those that one token meets: K of the E routed experts.

        Returns
        -------
        n_parameters : int
            Their number.
        """
        total = sum(parameter.numel() for parameter in self.parameters())
        if not active:
            return total
        stacks = [m for m in self.modules() if isinstance(m, Experts)]
        routed = sum(p.numel() for stack in stacks for p in stack.parameters())
        return total - routed + routed * self.config.top_k // self.config.n_experts

    def _recompute(self):
        return self.checkpoint_activations and torch.is_grad_enabled()

    def _hand_out(self, result, found, return_balance, routing):
        if routing is not None:
            for gate in found:
                routing.append(gate)
        if not return_balance:
            return result
        losses = [balance_loss(*gate, 2 ** len(MODALITY_CODES)) for gate in found]
        return result, torch.stack(losses).mean() if losses else result.new_zeros(())

    def _check(self, parts):
        if not parts:
            raise ValueError("There are no tokens: pass a TokenBatch, or a sequence of them.")
        for part in parts:
            if not isinstance(part, TokenBatch):
                raise TypeError(f"The network takes TokenBatch, got {type(part).__name__}.")
            if part.values.shape[2] != self.config.patch_size:
                raise ValueError(
                    f"The network reads patches of {self.config.patch_size} time points, got "
                    f"{part.values.shape[2]}. Pass patch_size={self.config.patch_size} to "
                    f"make_tokens."
                )
            if len(part) != len(parts[0]):
                raise ValueError(
                    f"All modalities must have the same samples, got {[len(p) for p in parts]}. "
                    f"Give missing ones as rows of padding."
                )


def _found(record, queries):
    """Return the record of the decoder as arguments of the balance loss."""
    group = (2**queries.modality).expand(len(queries))
    return [_gate(*entry, group, ~queries.is_padding) for entry in record]


def _gate(probability, chosen, group, is_counted=None):
    """Return the arguments of the balance loss, those of padding expanded to (B, T)."""
    if is_counted is not None:
        is_counted = is_counted.expand(probability.shape[:2])
    return probability, chosen, group, is_counted
