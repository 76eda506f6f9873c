"""Everything that decides a pretraining run, besides the network's shape and the corpus."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .._utils.validation import check_number, check_option
from ..models.config import MODALITY_CODES, JsonFields
from .augment import Augmentation
from .terms import check_terms

#: Fields of the terms, which are left out of descriptions of runs without terms.
_OF_TERMS = (
    "terms",
    "term_modalities",
    "term_share",
    "term_places",
    "term_regions",
    "term_samples",
    "augmentation",
)


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(JsonFields):
    """Parameters of pretraining by Masked Temporal-Frequency Modeling.

    The objective is that of :footcite:p:`guo2026brainof`; its numbers are not published. Every
    field is our decision.

    Parameters
    ----------
    frequency_weight : float
        Weight of the frequency domain in the loss, 0 to 1.
    spectrum_weight : float
        Weight of a third term, which the paper does not have: Smooth L1 between the log-amplitude
        spectrum of each channel, averaged over its patches, and the decoder's prediction
        (``predicts_spectrum`` of the network). Rhythms have no fixed phase, so that most of a
        waveform cannot be predicted, but their strength can.
    patch_mask_ratio : float
        Share of a sample's patches that are hidden.
    frequency_mask_ratio : float
        Share of the Fourier components that are removed.
    masked_tokens : {"drop", "embed"}
        ``"drop"`` does not give hidden patches to the encoder at all, which saves work;
        ``"embed"`` puts a learned embedding in their place.
    balance_weight : float
        Weight of the experts' balance loss.
    learning_rate : float
        Highest learning rate, reached after the warm-up.
    encoder_frozen_steps : int
        First steps, in which only the decoder is trained. The encoder starts with a design worth
        keeping (``latent_init`` of the network), which the errors of an untrained decoder undo.
    encoder_lr_ratio : float
        Learning rate of all but the decoder, as a share of the decoder's.
    final_learning_rate : float
        Lowest learning rate as a share of the highest, reached by a cosine at the last step.
    warmup_steps : int
        Steps over which the learning rate rises from 0; at most the total number of steps.
    betas : (float, float)
        Decay rates of AdamW.
    weight_decay : float
        Decoupled weight decay of matrices; norms, scales and embeddings have none.
    max_grad_norm : float
        Largest norm of the gradient.
    max_tokens_per_microbatch : int
        Tokens of a micro-batch: what goes through the network at once. Memory grows with it.
    n_microbatches : int
        Micro-batches of a step. They are shared by the processes, whose number must divide it,
        so the number of machines changes no result.
    temperature : float
        Modalities are drawn with probability ``n_samples ** (1 / temperature)``: 1 is in
        proportion, large values make them equal.
    precision : {"float32", "bf16"}
        Of matrix products; weights and statistics stay in float32.
    compile : bool
        Compile the network: slow to start, faster on a GPU.
    checkpoint_activations : bool
        Compute activations twice rather than keep them: less memory, a third more work.
    strategy : {"ddp", "fsdp"}
        With several processes, whether each holds the whole network, or a part of it.
    ema_decay : float | None
        Decay per step of a moving average of the weights, kept beside them; ``None`` for none.
    save_average : bool
        Whether the weights that a checkpoint gives to estimators are the moving average.
    n_workers : int
        Processes that read the corpus ahead; 0 reads in the training process.
    log_every : int
        Steps between two lines of the log.
    keep_latest_k : int
        How many of the latest checkpoints stay.
    max_loss_ratio : float
        A loss above this multiple of the running mean of its modality stops the run.
    tensorboard : bool
        Write the log for TensorBoard too (optional extra).
    terms : dict
        Weights by name of training terms, which are ours and not part of the published method;
        empty, the default, trains on reconstruction alone. ``"second_order"``: the log-covariance
        of virtual channels in six bands (EEG, MEG), or the Fisher z of correlations between
        virtual regions minus the mean of the dataset (fMRI). ``"difference"``: the same, of two
        samples of one person, one minus the other. ``"fine_spectrum"``: log-power of lines of
        1 Hz from 1 to 45 Hz at the virtual channels (EEG, MEG). ``"course"``: the smoothed course
        of the virtual channels (EEG, MEG), predicted by the decoder. Each has a group of latents
        of its own, and all but the course a linear read-out of it in the checkpoint
        (``BrainOF.read_out``); the decoder reads all latents. The losses are mean squared errors
        relative to the variance of what is predicted. Terms need scipy.
    term_modalities : sequence of str
        Modalities that are trained on terms, of ``"eeg"``, ``"meg"`` and ``"fmri"``; the others
        are trained on reconstruction alone, and have no read-outs.
    term_share : float
        Share of the steps of a modality that are trained on its terms; the others are trained on
        reconstruction. Above 0, at most 1.
    term_places : int
        Virtual channels of EEG and MEG, at most 32.
    term_regions : int
        Virtual regions of fMRI, at most 300. A checkpoint holds components of all pairs of them.
    term_samples : int
        Samples of each modality that means, scales and components of the terms are computed from.
    augmentation : dict
        How samples are disturbed in steps on terms, and changed together with the quantities to
        predict (``enriched``): fields of ``pretraining.augment.Augmentation`` that differ from
        its defaults.

    References
    ----------
    .. footbibliography::
    """

    frequency_weight: float = 0.5
    spectrum_weight: float = 0.0
    patch_mask_ratio: float = 0.5
    frequency_mask_ratio: float = 0.3
    masked_tokens: str = "drop"
    balance_weight: float = 0.01
    learning_rate: float = 1e-3
    encoder_frozen_steps: int = 0
    encoder_lr_ratio: float = 1.0
    final_learning_rate: float = 0.01
    warmup_steps: int = 100
    betas: tuple = (0.9, 0.95)
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    max_tokens_per_microbatch: int = 16384
    n_microbatches: int = 1
    temperature: float = 2.0
    precision: str = "float32"
    compile: bool = False
    checkpoint_activations: bool = False
    strategy: str = "ddp"
    ema_decay: float | None = None
    save_average: bool = False
    n_workers: int = 0
    log_every: int = 10
    keep_latest_k: int = 3
    max_loss_ratio: float = 10.0
    tensorboard: bool = False
    terms: dict = dataclasses.field(default_factory=dict)
    term_modalities: tuple = ("eeg", "meg", "fmri")
    term_share: float = 0.8
    term_places: int = 16
    term_regions: int = 200
    term_samples: int = 1000
    augmentation: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Check all fields."""
        shares = (
            "frequency_weight",
            "patch_mask_ratio",
            "frequency_mask_ratio",
            "final_learning_rate",
        )
        for name in shares:
            check_number(name, getattr(self, name), low=0, high=1)
        for name in ("learning_rate", "encoder_lr_ratio", "max_grad_norm"):
            check_number(name, getattr(self, name), low=0, low_open=True)
        for name in ("spectrum_weight", "balance_weight", "weight_decay"):
            check_number(name, getattr(self, name), low=0)
        for name in ("max_tokens_per_microbatch", "n_microbatches", "log_every", "keep_latest_k"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("encoder_frozen_steps", "warmup_steps", "n_workers"):
            check_number(name, getattr(self, name), low=0, integer=True)
        check_number("temperature", self.temperature, low=1)
        check_number("max_loss_ratio", self.max_loss_ratio, low=1, low_open=True)
        check_option("masked_tokens", self.masked_tokens, ("drop", "embed"))
        check_option("precision", self.precision, ("float32", "bf16"))
        check_option("strategy", self.strategy, ("ddp", "fsdp"))
        object.__setattr__(self, "terms", check_terms(self.terms))
        for kind in self.term_modalities:
            check_option("term_modalities", kind, MODALITY_CODES)
        object.__setattr__(self, "term_modalities", tuple(self.term_modalities))
        check_number("term_share", self.term_share, low=0, high=1, low_open=True)
        check_number("term_places", self.term_places, low=2, high=32, integer=True)
        check_number("term_regions", self.term_regions, low=3, high=300, integer=True)
        check_number("term_samples", self.term_samples, low=2, integer=True)
        Augmentation.from_dict(self.augmentation)
        for name in ("compile", "checkpoint_activations", "save_average", "tensorboard"):
            check_option(name, getattr(self, name), (True, False))
        betas = self.betas
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"The parameter 'betas' must be a pair, got {betas!r}.")
        betas = tuple(check_number("betas", beta, low=0, high=1) for beta in betas)
        object.__setattr__(self, "betas", betas)
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, low=0, high=1)
        elif self.save_average:
            raise ValueError("save_average=True needs a moving average: give ema_decay=0.999.")
        if self.patch_mask_ratio in (0, 1):
            raise ValueError(
                f"The parameter 'patch_mask_ratio' must lie between 0 and 1, got "
                f"{self.patch_mask_ratio}: something must be hidden, and something seen."
            )

    def _is_described(self, name):
        return bool(self.terms) or name not in _OF_TERMS
