"""The whole network: tokens to latents, latents to latents, latents to patches.

B batch, S tokens, P patch, M latents, D width
"""

from __future__ import annotations

import torch
from torch import nn

from .._utils.validation import check_number
from .attention import DintAttention, PlainAttention
from .config import BrainOFConfig
from .embedding import ContentEmbedding, PlaceEmbedding
from .isolate import isolate_torch
from .layers import BiasFreeLinear, LayerScale, RMSNorm, call_block
from .moe import Experts
from .readout import RECONSTRUCTION, build_read_outs, group_of, sizes_of
from .resampler import Arness, CrossAttention, FeedForward, latent_points
from .tokens import Begun, TokenBatch

USUAL_GAIN = 0.1


class Layer(nn.Module):
    """A layer of the backbone: self-attention, then experts."""

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
            # Some buffers are on the CPU already, with their values.
            self._apply(lambda t: torch.empty_like(t, device="cpu") if t.is_meta else t)
            self._initialise(torch.Generator("cpu").manual_seed(random_state))

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
        self.latents.copy_(features @ columns.T * self.place.gain)  # (M, D)
        for module in self.modules():
            if isinstance(module, CrossAttention):
                module.locate(self.place)

    def forward(self, tokens, routing=None, layer=None):
        """Embed samples.

        Parameters
        ----------
        tokens : TokenBatch | sequence of TokenBatch | Begun
            One modality, or several of the same samples, read in this order. A row whose tokens
            are all padding is a missing modality, and is not read. Or what :meth:`begin` returned.
        routing : RoutingRecord | None
            Receives the choices of each gate; its ``balance()`` is the auxiliary loss.
        layer : int | None
            Stop after so many layers of the backbone: 0 gives the latents that have read the
            tokens, ``config.n_layers`` is all of them, and so is None. The final norm follows
            in any case, so that latents of all depths have one scale.

        Returns
        -------
        latents : torch.Tensor, shape (B, M, D)
            The embedding.

        Raises
        ------
        TypeError, ValueError
            If the tokens do not fit the network or each other, or there is no such layer.
        """
        if layer is not None:
            check_number("layer", layer, low=0, high=self.config.n_layers, integer=True)
        begun = tokens if isinstance(tokens, Begun) else self.begin(tokens, routing)
        latents, recompute = begun.latents, self._recompute()
        for block in self.layers[begun.n_layers : layer]:
            latents = call_block(block, latents, record=routing, recompute=recompute)
        if routing is not None:
            routing.complete(begun.group)
        return self.norm(latents)

    def begin(self, tokens, routing=None, n_layers=0):
        """Read samples and run the first layers, for :meth:`forward` to continue.

        Parameters
        ----------
        tokens, routing : sequence of TokenBatch, RoutingRecord | None
            As of :meth:`forward`.
        n_layers : int
            Layers that are run.

        Returns
        -------
        begun : Begun
            Latents without the final norm.
        """
        parts = [tokens] if isinstance(tokens, TokenBatch) else list(tokens)
        self._check(parts)
        latents = self.latents[None]  # (1, M, D): all samples start equal
        group = parts[0].modality.new_zeros(len(parts[0]))  # (B,), one bit per modality read
        recompute = self._recompute()
        for part in parts:
            latents = self.encoder(
                latents, self.place(part), self.content(part), part.is_padding, routing, recompute
            )
            is_read = ~part.is_padding.all(-1)  # (B,)
            group = group | torch.where(is_read, 2**part.modality, 0)
            if routing is not None:
                routing.complete(group, is_read[:, None])
        for block in self.layers[:n_layers]:
            latents = call_block(block, latents, record=routing, recompute=recompute)
        if routing is not None:
            routing.complete(group)
        return Begun(latents, group, n_layers)

    def decode(self, latents, queries, routing=None, group=RECONSTRUCTION):
        """Reconstruct patches at any place and time.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.
        queries : TokenBatch
            Where, when and what; their values are not read.
        routing : RoutingRecord | None
            Receives the choices of each gate of the decoder.
        group : str
            Group of latents that is read, where the decoder reads one group.

        Returns
        -------
        values : torch.Tensor, shape (B, S, P)
            Patches; meaningless where the queries are padding.

        Raises
        ------
        TypeError, ValueError
            If the queries do not fit the network or the latents.
        """
        # x (B, S, D), asked (B or 1, S, D)
        x, asked = self._ask(latents, queries, routing, group)
        is_change = self.config.decoder_input == "residual"
        return self.patch(x - asked if is_change else x)  # (B, S, P)

    def decode_spectrum(self, latents, queries, routing=None):
        """Reconstruct the log-amplitude spectra of channels over the whole of a sample.

        Parameters
        ----------
        latents : torch.Tensor, shape (B, M, D)
            What the network returned.
        queries : TokenBatch
            One per channel: where and what, and as when the middle and the length of the sample.
        routing : RoutingRecord | None
            Receives the choices of each gate of the decoder.

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
        x, asked = self._ask(latents, queries, routing)  # 2 x (B, C, D)
        # The usual spectrum at a place is predicted from the query alone, so latents need not hold
        # it. Its gain makes up for the norm of queries: a training step would move it too far.
        return self.spectrum(x - asked) + self.usual_spectrum(asked) * USUAL_GAIN  # (B, C, F)

    def _ask(self, latents, queries, routing, group=RECONSTRUCTION):
        """Decode queries from the latents; return the updated and the initial queries."""
        self._check([queries])
        if latents.shape != (len(queries), *self.latents.shape):
            raise ValueError(
                f"latents must have shape {(len(queries), *self.latents.shape)} to go with these "
                f"queries, got {tuple(latents.shape)}."
            )
        initial = self.norm(self.latents)  # (M, D)
        if self.config.decoder_reads_group:
            is_own = torch.zeros(len(initial), 1, dtype=torch.bool, device=latents.device)
            is_own[group_of(self.config, group)] = True
            latents = torch.where(is_own, latents, initial.to(latents.dtype))
        # Keys use the initial places of the latents, values their final state.
        place = self.latents[None]  # (1, M, D)
        asked = self.place(queries)  # (B or 1, S, D)
        is_change = self.config.decoder_input == "residual"
        content = latents - initial if is_change else latents  # (B, M, D)
        x = self.decoder(asked, place, content, None, routing, self._recompute())  # (B, S, D)
        if routing is not None:
            read = (2**queries.modality).expand(len(queries))  # (B,)
            routing.complete(read, ~queries.is_padding)
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
        sizes = self.read_out_sizes(modality)
        if not sizes:
            found = dict.fromkeys(row[0] for row in self.config.read_outs)
            raise ValueError(
                f"This network has no read-outs of {modality}; it has those of "
                f"{', '.join(found) or 'no modality'}. They come from pretraining with terms."
            )
        change, parts = self.change(latents), self.read_outs[modality]
        return torch.cat([parts[name](change) / n**0.5 for name, n in sizes.items()], 1)

    def read_out_sizes(self, modality):
        """Return the blocks of :meth:`read_out`.

        Parameters
        ----------
        modality : str
            ``"eeg"``, ``"meg"`` or ``"fmri"``.

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
