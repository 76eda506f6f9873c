"""The shape of the network in one frozen dataclass, and the family of presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .._utils.validation import check_fields, check_number, check_option

#: The index of a modality is its code in tokens, weights and corpora. Reading order is another:
#: :data:`brainof_toolbox.signals.MODALITIES`.
MODALITY_CODES = ("eeg", "meg", "fmri")
SENSOR_TYPES = ("eeg", "mag", "grad", "bold")

#: Outputs of all read-outs of a modality, at most.
MAX_OUTPUTS = 512
_OPTIONAL = ("latent_groups", "decoder_reads_group", "read_outs")

#: The Fourier basis of a patch grows with the square of its length.
MAX_PATCH = 4096

PRESETS = {
    "tiny": {"n_layers": 6, "width": 128, "n_heads": 4, "n_experts": 4},
    "base": {"n_layers": 12, "width": 256, "n_heads": 4, "n_experts": 4},
    "large": {"n_layers": 24, "width": 512, "n_heads": 8, "n_experts": 4},
    "huge": {"n_layers": 36, "width": 768, "n_heads": 12, "n_experts": 7},
    "giant": {"n_layers": 48, "width": 1024, "n_heads": 16, "n_experts": 18},
}


class JsonFields:
    """Mixin for frozen dataclasses that are read from JSON or TOML and written as JSON."""

    @classmethod
    def from_dict(cls, fields):
        """Build a configuration from a dictionary, as read from JSON.

        Parameters
        ----------
        fields : dict
            Field names and values; absent fields keep their defaults.

        Returns
        -------
        config : JsonFields
            The configuration.

        Raises
        ------
        TypeError
            If ``fields`` is not a dictionary.
        ValueError
            If a key is unknown, or a value is out of range.
        """
        if not isinstance(fields, dict):
            raise TypeError(
                f"{cls.__name__} is built from a dict of its fields, got {type(fields).__name__}."
            )
        return cls(**check_fields(cls, fields, f"key of {cls.__name__}"))

    def to_dict(self):
        """Return the fields as plain Python values that JSON can hold.

        Returns
        -------
        fields : dict
            Field names and values.
        """
        fields = dataclasses.asdict(self)
        return {name: _plain(value) for name, value in fields.items() if self._is_described(name)}

    def _is_described(self, name):
        return True


@dataclass(frozen=True, kw_only=True)
class BrainOFConfig(JsonFields):
    """Everything that decides the shape and the initial weights of a :class:`BrainOF`.

    The published facts are in :footcite:p:`guo2026brainof`. A field marked [D] is our decision
    where nothing is published; its reason stands beside it.

    Parameters
    ----------
    n_layers : int
        Layers of the backbone.
    width : int
        Width D of a latent.
    n_heads : int
        [D] Attention heads H; a head is D / H wide (32 in tiny, 64 above: the usual widths).
        In DINT attention the queries and keys of a head are split in two halves, so that it has
        the parameters of plain attention.
    n_latents : int
        Number of latents M.
    patch_size : int
        Time points P of a patch, at most 4096.
    n_encoder_blocks, n_decoder_blocks : int
        [D] ARNESS blocks that write to the latents and that read from them. Two of each: queries
        of the second block depend on the output of the first, and the published totals fit.
    decoder_input : {"residual", "latents"}
        [D] Input of the decoder: ``"residual"``, the latents minus their initial values, whose
        effect alone becomes a patch; or ``"latents"``, the latents themselves, added to the query.
        The initial latents and the query dominate the norm of the latter and carry no signal, so
        that the loss stays on its initial plateau for a long time
        (``doc/pretraining_choices.rst``).
    predicts_spectrum : bool
        [D] Whether the decoder also predicts the log-amplitude spectrum of a channel, as in
        pretraining with ``PretrainingConfig.spectrum_weight`` does.
    attention : {"dint", "plain"}
        Self-attention of the backbone; ``"plain"`` is the ablation.
    experts : {"moe", "dense"}
        Feed-forward parts; ``"dense"`` is the ablation: one SwiGLU of equal active size.
    n_experts, top_k : int
        [D] Routed experts E, and how many of them a token goes to (K). Four and one give the
        published total and active sizes of base and large.
    expert_ratio : float
        [D] Hidden width of an expert over D. 2.75 fits the published sizes.
    spectrum : bool
        [D] Add the log-amplitude spectrum of a patch to its embedding. Rhythms have no fixed
        phase, so their power is invisible to any linear map of the samples.
    spectrum_gain : float
        [D] Initial weight of the spectrum against the samples. The spectrum of one patch is
        noisy: at 2 untrained latents read simulated alpha better, but real recordings worse.
    waveform_lowpass_init : float
        [D] Cycles per patch above which the samples' weights fall at first, like a first-order
        low-pass. Slow deflections are locked in time, and a linear map reads them; fast rhythms
        are not, and speak through the spectrum.
    spectrum_floor : float
        [D] Amplitude added under the logarithm, in units of the scaled signal. Keeps flat patches
        finite, and lies below the noise of a scaled recording.
    content_limit : float
        [D] Root mean square above which the content of a token saturates, so that an artefact
        cannot drown the latents. Below it amplitude passes unchanged: amplitude is signal.
    position_encoding : {"fourier", "none"}
        [D] Where and when as Fourier features, so that any montage, atlas, rate and length work.
        ``"none"`` is the ablation: the tokens become a bag of patches.
    position_wavelengths : (float, float, int)
        [D] Longest and shortest wavelength in m, and how many. A head is 0.2 m across: the
        longest distinguishes all its points, the shortest resolves neighbouring coils.
    time_wavelengths : (float, float, int)
        [D] Shortest and longest wavelength in s, and how many. A patch at 256 Hz lasts 0.25 s, an
        fMRI run up to 500 s.
    latent_init : {"located", "random"}
        [D] ``"located"`` spreads the latents over the head and over time; each attends to tokens
        near its own point at first. Random latents start as nearly equal averages over all
        tokens, and few trials do not separate them.
    latent_span : float
        [D] Time in s over which located latents are spread, denser at the beginning, so that an
        epoch of 1 s and a window of 10 s are both resolved.
    attention_range_init : sequence of (float | None, float | None)
        [D] Initial range of the heads of cross-attention in m and in s; heads take turns, None is
        no limit. Rhythms are to be averaged over time, evoked responses not.
        About the spacing of sensors and a fraction of a patch: with twice that, fewer simulated
        trials were classified correctly.
    key_content_init : float
        [D] Initial gain of a token's content in its attention key. Small, so that position and
        time determine attention at first; learned per channel.
    resampler_scale_init : float
        [D] Initial LayerScale of cross-attention. Larger than ``layer_scale``, because all content
        enters the latents here; small enough that queries of the second block keep their position
        (at 1 less can be read out linearly, and training is no faster).
    layer_scale : float
        [D] Initial LayerScale of every other branch. Small: a deep stack starts near identity.
    norm_eps : float
        [D] Added under the root in RMSNorm.
    latent_groups : sequence of str
        [D] Names of groups that the latents are shared out among in turn: latents ``k::n`` belong
        to group k of n. A linear read-out uses its own group; the decoder uses all latents, as in
        the paper, or one group (``decoder_reads_group``). Empty: no groups. Set by
        ``PretrainingConfig.terms``.
    decoder_reads_group : bool
        [D] Whether the decoder reads the group ``"reconstruction"`` alone, and for the course the
        group ``"course"``. A fifth of the latents was too few for reconstruction.
    read_outs : sequence of (str, str, int, int)
        [D] Linear read-outs: modality, group of latents, columns of the predicted quantity (0 in
        networks that are for use alone), and outputs. Together at most 512 outputs for a modality.
        Set by ``PretrainingConfig.terms``.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox.models import BrainOFConfig
    >>> base = BrainOFConfig.preset("base")
    >>> base.n_layers, base.width, base.n_latents
    (12, 256, 128)
    """

    n_layers: int = 6
    width: int = 128
    n_heads: int = 4
    n_latents: int = 128
    patch_size: int = 64  # time points
    n_encoder_blocks: int = 2
    n_decoder_blocks: int = 2
    decoder_input: str = "residual"
    predicts_spectrum: bool = False
    attention: str = "dint"
    experts: str = "moe"
    n_experts: int = 4
    top_k: int = 1
    expert_ratio: float = 2.75
    spectrum: bool = True
    spectrum_gain: float = 1.0
    waveform_lowpass_init: float = 4.0  # cycles per patch, 16 Hz at 256 Hz
    spectrum_floor: float = 0.01
    content_limit: float = 4.0
    position_encoding: str = "fourier"
    position_wavelengths: tuple = (0.4, 0.03, 8)  # m, m, count
    time_wavelengths: tuple = (0.25, 1024.0, 13)  # s, s, count
    latent_init: str = "located"
    latent_span: float = 10.0  # s
    attention_range_init: tuple = ((0.02, None), (0.05, 0.06), (0.02, 0.06), (0.03, 0.12))  # m, s
    key_content_init: float = 0.1
    resampler_scale_init: float = 0.3
    layer_scale: float = 0.1
    norm_eps: float = 1e-6
    latent_groups: tuple = ()
    decoder_reads_group: bool = False
    read_outs: tuple = ()

    def __post_init__(self):
        """Refuse what no network can be built from."""
        check_option("decoder_input", self.decoder_input, ("residual", "latents"))
        check_option("attention", self.attention, ("dint", "plain"))
        check_option("experts", self.experts, ("moe", "dense"))
        check_option("spectrum", self.spectrum, (True, False))
        check_option("predicts_spectrum", self.predicts_spectrum, (True, False))
        check_option("decoder_reads_group", self.decoder_reads_group, (True, False))
        check_option("position_encoding", self.position_encoding, ("fourier", "none"))
        check_option("latent_init", self.latent_init, ("located", "random"))
        for name in ("n_layers", "n_encoder_blocks", "n_decoder_blocks", "n_heads", "n_experts"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("width", "n_latents"):
            check_number(name, getattr(self, name), low=2, integer=True)
        check_number("patch_size", self.patch_size, low=2, high=MAX_PATCH, integer=True)
        check_number("top_k", self.top_k, low=1, high=self.n_experts, integer=True)
        positive = ("expert_ratio", "spectrum_floor", "waveform_lowpass_init", "content_limit")
        for name in (*positive, "latent_span", "norm_eps"):
            check_number(name, getattr(self, name), low=0, low_open=True)
        for name in ("spectrum_gain", "key_content_init", "resampler_scale_init", "layer_scale"):
            check_number(name, getattr(self, name), low=0)
        for name in ("position_wavelengths", "time_wavelengths"):
            object.__setattr__(self, name, _check_wavelengths(name, getattr(self, name)))
        object.__setattr__(self, "attention_range_init", _check_reach(self.attention_range_init))
        object.__setattr__(self, "latent_groups", _check_groups(self))
        object.__setattr__(self, "read_outs", _check_read_outs(self))
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"The parameter 'width' must be a multiple of 2 * n_heads = {2 * self.n_heads}, "
                f"got {self.width}. Choose another width or number of heads."
            )
        if self.predicts_spectrum and not self.spectrum:
            raise ValueError(
                "predicts_spectrum=True needs spectrum=True: the network cannot predict spectra "
                "that are not part of its input."
            )
        if self.position_encoding == "none" and self.latent_init == "located":
            raise ValueError(
                "The parameter 'latent_init' must be 'random' when position_encoding='none', got "
                "'located'. Without positions there is no place to start from; pass both."
            )

    @classmethod
    def preset(cls, name, **overrides):
        """Return a member of the family.

        Parameters
        ----------
        name : {"tiny", "base", "large", "huge", "giant"}
            Which one.
        **overrides : object
            Fields that differ from the preset.

        Returns
        -------
        config : BrainOFConfig
            The configuration.

        Raises
        ------
        ValueError
            If the name or a field is unknown, or a value is out of range.
        """
        check_option("preset", name, tuple(PRESETS))
        return cls.from_dict({**PRESETS[name], **overrides})

    def _is_described(self, name):
        # What is empty is left out: networks of the paper are described as before.
        return name not in _OPTIONAL or bool(getattr(self, name))


def _plain(value):
    """Turn tuples into lists, at any depth."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _is_table(value, width):
    """Return True for a sequence of sequences of this length."""
    kinds = (tuple, list)
    if not isinstance(value, kinds):
        return False
    return all(isinstance(row, kinds) and len(row) == width for row in value)


def _check_reach(value):
    """Return pairs of reaches as tuples, or raise."""
    if not _is_table(value, 2) or not value:
        raise ValueError(
            f"The parameter 'attention_range_init' must be pairs of a range in m and one in s, "
            f"got {value!r}. None in a pair is anywhere or anytime."
        )
    for item in (item for pair in value for item in pair if item is not None):
        check_number("attention_range_init", item, low=0, low_open=True)
    return tuple(map(tuple, value))


def _check_wavelengths(name, value):
    """Return (first, last, count) as a tuple, or raise."""
    if not _is_table([value], 3):
        raise ValueError(
            f"The parameter {name!r} must be (first, last, count), got {value!r}. Wavelengths are "
            f"in m for positions and in s for times."
        )
    first = check_number(f"{name}[0]", value[0], low=0, low_open=True)
    last = check_number(f"{name}[1]", value[1], low=0, low_open=True)
    return first, last, check_number(f"{name}[2]", value[2], low=1, integer=True)


def _check_groups(config):
    """Return the names of the groups of latents as a tuple, or raise."""
    names = config.latent_groups
    is_fine = isinstance(names, (tuple, list)) and all(isinstance(name, str) for name in names)
    if not (
        is_fine
        and all(name.isidentifier() for name in names)
        and len(set(names)) == len(names) <= config.n_latents
        and (not config.decoder_reads_group or "reconstruction" in names)
    ):
        raise ValueError(
            f"The parameter 'latent_groups' must be different names of letters, digits and _, at "
            f"most n_latents = {config.n_latents}, with 'reconstruction' among them where the "
            f"decoder reads a group; got {names!r}."
        )
    return tuple(names)


def _check_read_outs(config):
    """Return the read-outs as tuples, or raise."""
    rows = config.read_outs
    if not _is_table(rows, 4):
        raise ValueError(
            f"The parameter 'read_outs' must be rows of modality, group, columns and outputs, got "
            f"{rows!r}."
        )
    total = dict.fromkeys(MODALITY_CODES, 0)
    for modality, group, n_columns, n_outputs in rows:
        check_option("read_outs", modality, MODALITY_CODES)
        check_option("read_outs", group, config.latent_groups)
        check_number("read_outs", n_columns, low=0, integer=True)
        check_number("read_outs", n_outputs, low=1, high=n_columns or MAX_OUTPUTS, integer=True)
        total[modality] += n_outputs
    if len({tuple(row[:2]) for row in rows}) < len(rows) or max(total.values()) > MAX_OUTPUTS:
        raise ValueError(
            f"The parameter 'read_outs' must have each modality and group once, and at most "
            f"{MAX_OUTPUTS} outputs of a modality, got {rows!r}."
        )
    return tuple(map(tuple, rows))
