"""What the three estimators share: parameters, backbone, features."""

from __future__ import annotations

import html
import numbers

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.logging import progress, warn
from .._utils.validation import check_number, check_option
from ..blocks import iter_blocks
from ..io.images import check_memory
from ..io.inputs import Reading, as_sources, count_samples
from ..io.regions import resolve_masker
from ..models import BrainOF, BrainOFConfig, load_checkpoint, save_checkpoint
from ..models.isolate import isolate_torch
from ..models.release import ReleasedBrainOF
from ..preprocessing import Preprocessing
from ..signals import MODALITIES
from ._embedded import Embedded
from .parallel import embed_sources, leave_the_sequence
from .reading import average_over_windows, block_arrays, block_tokens, pool

POOLINGS = ("mean", "mean+std", "flat")


class BaseBrainOF(BaseEstimator):
    """Backbone, inputs and features; not for direct use."""

    #: Of estimators without these parameters.
    n_jobs = None
    on_error = "raise"

    # ---------------------------------------------------------------- parameters

    def _check_parameters(self):
        check_option("pooling", self.pooling, POOLINGS)
        if self.layer is not None:
            check_number("layer", self.layer, low=0, integer=True)
        check_option("missing_positions", self.missing_positions, ("raise", "placeholder"))
        check_option("on_error", self.on_error, ("raise", "nan"))
        if self.n_jobs is not None and check_number("n_jobs", self.n_jobs, integer=True) == 0:
            raise ValueError(
                "The parameter 'n_jobs' must be a number of workers, -1 for all cores, or None, "
                "got 0."
            )
        check_number("batch_size", self.batch_size, low=1, integer=True)
        lengths = self.window if isinstance(self.window, dict) else {"": self.window}
        for modality, length in lengths.items():
            if isinstance(self.window, dict):
                check_option("window", modality, MODALITIES)
            if length is not None:
                check_number("window", length, low=0, low_open=True)
        if self.masker is not None:
            resolve_masker(self.masker)  # raises, and says what is accepted
        check_memory(self.memory)
        if not isinstance(self.random_state, np.random.RandomState):
            as_seed(self.random_state)
        check_device(self.device)

    @isolate_torch()
    def _load_backbone(self):
        """Load the checkpoint, or make untrained weights and say so."""
        if isinstance(self.checkpoint, ReleasedBrainOF):
            self._take_release(self.checkpoint)
            return
        self._read_checkpoint()
        if self.layer is not None:
            n_layers = self.backbone_.config.n_layers
            check_number("layer", self.layer, low=0, high=n_layers, integer=True)

    def _take_release(self, released):
        """The authors' network, frozen: it has one embedding, and no layers to choose from."""
        if getattr(self, "adaptation", "probe") != "probe" or self.layer is not None:
            raise ValueError(
                "Released weights are used frozen and whole: they need adaptation='probe' and "
                "layer=None."
            )
        self.backbone_, self._manifest = released, {}
        self.preprocessing_ = Preprocessing()
        self.checkpoint_info_ = dict(released.info)

    def _read_checkpoint(self):
        if self.checkpoint is None:
            warn(
                f"{type(self).__name__}(checkpoint=None) has untrained weights: its features come "
                "from a random network. Pass a checkpoint for pretrained ones."
            )
            self._seed = as_seed(self.random_state)
            self.backbone_ = BrainOF(BrainOFConfig.preset("tiny"), random_state=self._seed)
            self.backbone_.eval()
            self.preprocessing_ = Preprocessing()
            self._manifest = {}
            self.checkpoint_info_ = {
                "name": None,
                "sha256": None,
                "step": 0,
                "parameters": self.backbone_.n_parameters(),
                "corpus": "none (untrained)",
                "licence": None,
            }
            return
        checkpoint = load_checkpoint(self.checkpoint)
        self.backbone_ = checkpoint.model
        self.preprocessing_ = read_preprocessing(checkpoint)
        manifest = checkpoint.manifest
        self.checkpoint_info_ = {
            "name": checkpoint.name,
            "sha256": checkpoint.sha256,
            "step": manifest.get("steps"),
            "parameters": self.backbone_.n_parameters(),
            "corpus": manifest.get("datasets"),
            "licence": manifest.get("licence"),
        }
        self._manifest = manifest

    # ---------------------------------------------------------------- input

    def _as_sources(self, X, *, reset):
        """Take ``X`` apart; two-dimensional arrays go through scikit-learn's own validation."""
        if isinstance(X, Embedded):
            return X
        if (
            not isinstance(X, (list, tuple))
            and not hasattr(X, "shape")
            and hasattr(X, "__array__")
        ):
            X = np.asarray(X)
        if is_table(X):
            if self.info is not None:
                X = validate_data(self, X, reset=reset, ensure_min_features=2 if reset else 1)
            else:
                X = np.asarray(X)
        return as_sources(X, self._reading())

    def _reading(self):
        keep_broken = self.on_error != "raise"
        return Reading(self.info, self.missing_positions, self.masker, self.memory, keep_broken)

    @property
    def _n_at_once(self):
        return max(self.batch_size, 32)

    def _blocks(self, sources):
        return iter_blocks(
            sources, self.preprocessing_, window=self.window, n_at_once=self._n_at_once
        )

    # ---------------------------------------------------------------- features

    @property
    def n_latent_features_(self):
        """Number of features per sample, the same for every input."""
        if isinstance(self.backbone_, ReleasedBrainOF):
            return self.backbone_.embedding_size
        config = self.backbone_.config
        return config.width * {"mean": 1, "mean+std": 2, "flat": config.n_latents}[self.pooling]

    @isolate_torch()
    def _embed(self, sources):
        """Features (n_samples, n_features) float32 of the frozen backbone."""
        if isinstance(sources, Embedded):
            if sources.key != self._feature_key():
                raise ValueError(
                    f"These features were computed with {sources.key}, this estimator has "
                    f"{self._feature_key()}: embed the samples again with embed_ahead()."
                )
            return sources.features
        is_ours = isinstance(self.backbone_, BrainOF)  # workers build no other network
        groups = leave_the_sequence(sources, self) if is_ours else None
        if groups is not None:
            return embed_sources(self, sources, groups)
        return self._embed_blocks(self._blocks(sources), count_samples(sources))

    def _feature_key(self):
        """What decides the features of a given sample: weights and pooling."""
        weights = self.checkpoint_info_["sha256"] or f"untrained, seed {self._seed}"
        return weights, self.pooling, repr(self.window), self.layer

    def _embed_blocks(self, blocks, n_samples):
        """The same from preprocessed blocks; averages over the windows of each sample."""
        device = check_device(self.device)
        self.backbone_.to(device).eval()
        blocks = progress(blocks, description="Embedding", enabled=bool(self.verbose))
        function, take = self._read_tokens, block_tokens
        if isinstance(self.backbone_, ReleasedBrainOF):
            function, take = self._read_arrays, block_arrays
        features = average_over_windows(
            function, blocks, n_samples, self.batch_size, device, take=take
        )
        return features.astype(np.float32)

    def _read_tokens(self, tokens):
        return pool(self.backbone_(tokens, layer=self.layer), self.pooling)

    def _read_arrays(self, windows):
        """Mean embedding of the modalities of each window, read one by one."""
        counts = [len(arrays) for arrays in windows[0]]
        rows = self.backbone_([array for arrays in windows[0] for array in arrays])
        return torch.stack([part.mean(0) for part in rows.split(counts)])

    # ---------------------------------------------------------------- saving

    @isolate_torch()
    def save_pretrained(self, directory):
        """Save the backbone as a checkpoint that every estimator loads.

        The directory gets the architecture, the preprocessing, the weights and the manifest; a
        classifier's or regressor's head is not part of it (pickle the estimator for that).

        Parameters
        ----------
        directory : path-like
            Where to; an existing checkpoint there is replaced in one step.

        Raises
        ------
        OSError
            If the directory cannot be written; what was there before stays.
        """
        check_is_fitted(self)
        if not isinstance(self.backbone_, BrainOF):
            raise ValueError(
                "The authors' weights are not saved again: keep the file they are in."
            )
        manifest = {
            key: value
            for key, value in getattr(self, "_tuned_manifest", self._manifest).items()
            if key not in ("sha256", "versions", "n_parameters")
        }
        if self.checkpoint is None:
            manifest.setdefault("datasets", [])
            manifest.setdefault("steps", 0)
        save_checkpoint(
            directory,
            self.backbone_.cpu(),
            preprocessing=self.preprocessing_.to_dict(),
            manifest=manifest,
        )

    @isolate_torch()
    def __getstate__(self):
        """Pickle with the weights on the CPU, so that any machine can load them."""
        state = super().__getstate__()
        for name in ("backbone_", "network_"):
            if name in state:
                state[name] = state[name].cpu()
        return state

    # ---------------------------------------------------------------- scikit-learn

    def __sklearn_is_fitted__(self):
        return hasattr(self, "checkpoint_info_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = False
        return tags

    def _html_repr(self):
        text = estimator_html_repr(self)
        if not hasattr(self, "checkpoint_info_"):
            return text
        rows = "".join(
            f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in self.checkpoint_info_.items()
        )
        return f"{text}<details><summary>Checkpoint</summary><table>{rows}</table></details>"


def read_preprocessing(checkpoint):
    """Return the preprocessing of a checkpoint, or say which one states none that there is."""
    try:
        return Preprocessing.from_dict(checkpoint.preprocessing)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{checkpoint.name}, config.json: {error}") from error


def is_table(X):
    """Whether ``X`` is a two-dimensional array of numbers, in any form scikit-learn knows."""
    if isinstance(X, (list, tuple)):
        first = X[0] if X and isinstance(X[0], (list, tuple)) else None
        return first is not None and (not first or np.isscalar(first[0]))
    is_array = hasattr(X, "__array__") or hasattr(X, "toarray")
    return is_array and len(getattr(X, "shape", ())) == 2


def as_seed(random_state):
    """Turn any ``random_state`` into an integer seed without touching the global state."""
    if random_state is None:
        return 0
    if isinstance(random_state, numbers.Integral):
        return check_number("random_state", random_state, low=0, integer=True)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise TypeError(
        f"The parameter 'random_state' must be a whole number, a RandomState or None, got "
        f"{random_state!r}."
    )


def check_device(device):
    """Resolve the name of a device."""
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["auto", "cpu", *(["cuda"] if n_cuda else []), *(f"cuda:{i}" for i in range(n_cuda))]
    if torch.backends.mps.is_available():
        known.append("mps")
    check_option("device", str(device) if isinstance(device, torch.device) else device, known)
    if device == "auto":
        return torch.device("cuda" if n_cuda else "mps" if "mps" in known else "cpu")
    return torch.device(device)
