"""Ways of adapting the network to labels, as objects: a probe, LoRA, fine-tuning."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import torch
from sklearn.base import BaseEstimator, clone

from .._utils.validation import check_number, check_option
from . import lora
from ._docs import fill_estimator_doc
from .decoders import Decoder
from .finetune import freeze
from .precomputed import PrecomputedFeatures
from .training import Training


@fill_estimator_doc
@dataclass(eq=False, repr=False)
class Probe(BaseEstimator):
    """Fit a head on the features of a frozen network.

    ``"linear"`` adds the outputs of penalised linear models (logistic regression; ridge regression
    for numbers): one on each block of features, and one on all explicit blocks side by side.
    Penalties and the factors of the models are chosen by cross-validation inside the training
    samples that keeps groups together. Without evidence the factors of explicit blocks are equal
    and that of the latents is 0, so that latents contribute as far as they reduce the loss;
    read-outs (``pooling="compact"``) count as an explicit block. Columns are standardised, those
    of a read-out together: their relative sizes matter.

    Parameters
    ----------
    %(head)s

    Examples
    --------
    >>> from brainof_toolbox import BrainOFClassifier
    >>> from brainof_toolbox.estimators import Probe
    >>> BrainOFClassifier(adaptation=Probe(head="mlp")).get_params()["adaptation__head"]
    'mlp'
    """

    head: str = "linear"

    trains_network = False

    def _check(self, encoder):
        """Refuse unusable parameters."""
        check_option("head", self.head, ("linear", "mlp"))

    def _adapt(self, data, earlier=None):
        """Fit the head; returns a Decoder."""
        encoder, samples = data.encoder, data.samples
        is_ready = isinstance(samples, PrecomputedFeatures)
        blocks = samples.blocks_for(encoder) if is_ready else encoder.embed_blocks(samples)
        blocks, centre = data.align_blocks(blocks)
        return Decoder(data.encoder, data.fit_head(blocks, self.head), centre)


@fill_estimator_doc
@dataclass(eq=False, repr=False)
class LoRA(Training):
    """Train the head and low-rank updates of frozen matrices :footcite:p:`hu2022lora`.

    For a matrix ``W`` the network computes with ``W + alpha / rank * B A``; ``B`` starts at zero,
    so that training starts from the probe. Afterwards the updates are added to the matrices.

    Parameters
    ----------
    rank : int
        Rank of each update.
    alpha : float
        Updates are multiplied by ``alpha / rank``.
    target_modules : str
        Matrices that are updated: ``"attention"`` of the backbone (2 % of the weights of
        ``"brainof-tiny"``), ``"attention+experts"`` with the experts that all tokens use, or
        ``"attention+resampler"`` with the attention that reads the tokens.
    %(head)s
    %(training)s

    Notes
    -----
    Defaults were chosen on people whose recordings, without labels, were in the corpus of
    ``"brainof-tiny"``, and on simulated ones (``benchmarks/adaptations.py``).

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from brainof_toolbox import BrainOFClassifier
    >>> from brainof_toolbox.estimators import LoRA
    >>> decoder = BrainOFClassifier(adaptation=LoRA(rank=8, max_epochs=5))
    >>> decoder.get_params()["adaptation__rank"]
    8
    """

    rank: int = 32
    alpha: float = 64.0
    target_modules: str = "attention"
    _: KW_ONLY
    learning_rate: float = 1e-3

    has_updates = True

    def _check(self, encoder):
        """Refuse unusable parameters."""
        super()._check(encoder)
        check_option("target_modules", self.target_modules, tuple(lora.TARGETS))
        check_number("rank", self.rank, low=1, integer=True)
        check_number("alpha", self.alpha, low=0, low_open=True)

    def _prepare(self, network, encoder, seed, updates=None):
        """Add updates to the matrices of a network; returns the matrices without them."""
        backbone, draw = network.to(encoder.device).backbone, torch.Generator().manual_seed(seed)
        size = {"rank": self.rank, "alpha": self.alpha, "generator": draw}
        matrices = lora.attach(backbone, self.target_modules, **size, n_layers=encoder.layer)
        if updates is not None:
            lora.restore(backbone, updates)
        return matrices


@fill_estimator_doc
@dataclass(eq=False, repr=False)
class FineTuning(Training):
    """Train network and head together, from the probe's head on.

    AdamW, warm-up and cosine, rates that fall with the distance from the head, early stopping on
    an inner split, best weights restored.

    Parameters
    ----------
    n_trainable_layers : int | None
        Train this many of the last layers that are run, the final norm and the head; ``None``
        trains everything.
    %(head)s
    %(training)s

    Notes
    -----
    Defaults were chosen as for :class:`~brainof_toolbox.estimators.LoRA`.

    Examples
    --------
    >>> from brainof_toolbox import BrainOFClassifier
    >>> from brainof_toolbox.estimators import FineTuning
    >>> decoder = BrainOFClassifier(adaptation=FineTuning(n_trainable_layers=2))
    """

    n_trainable_layers: int | None = None

    def _check(self, encoder):
        """Refuse unusable parameters, and more layers than are run."""
        super()._check(encoder)
        if self.n_trainable_layers is None:
            return
        check_number("n_trainable_layers", self.n_trainable_layers, low=1, integer=True)
        n_run = encoder.backbone.config.n_layers if encoder.layer is None else encoder.layer
        if self.n_trainable_layers > n_run:
            raise ValueError(
                f"n_trainable_layers={self.n_trainable_layers} asks for more layers than the "
                f"{n_run} that are run."
            )

    def _prepare(self, network, encoder, seed, updates=None):
        """Move to the device, and freeze what is not trained; there are no updates."""
        freeze(network.to(encoder.device), self.n_trainable_layers)
        return {}


_NAMED = {"probe": Probe, "lora": LoRA, "full": FineTuning}


def resolve_adaptation(adaptation):
    """Return an adaptation that ``fit`` may use: a copy of an object, or the default of a name."""
    if isinstance(adaptation, (Probe, Training)):
        return clone(adaptation)
    hint = "Or pass a Probe, LoRA or FineTuning object."
    return _NAMED[check_option("adaptation", adaptation, tuple(_NAMED), hint)]()
