"""Samples in, one row of numbers per sample out.

::

    X -> LazySamples -> WindowBatch -> tokens -> latents -> pooling -\\
                                   \\-> covariance, evoked ----------- mean over windows -> rows
"""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from .._utils.logging import group_warnings, progress
from .._utils.validation import as_seed, check_number, check_option
from ..io.images import check_memory
from ..io.inputs import ReadOptions, count_samples, open_samples
from ..io.regions import resolve_masker
from ..models import save_checkpoint
from ..models.isolate import isolate_torch
from ..signals import MODALITIES
from .backbones import load_backbone, load_preprocessing
from .blocks import (
    LATENTS,
    ColumnsDifferError,
    ExplicitFeatures,
    is_automatic,
    parse_features,
)
from .parallel import embed_tasks, plan_parallel_tasks
from .pooling import POOLINGS
from .running import check_device, count_threads, map_in_order
from .windows import SampleMeans, iter_windows

__all__ = ["Encoder"]


class Encoder:
    """Map samples to rows: a frozen network, its preprocessing, and how its output is used.

    A row depends on its own sample only: not on other samples, not on ``batch_size``.

    Parameters
    ----------
    checkpoint : path-like | str | ReleasedBrainOF | None
        As for :class:`~brainof_toolbox.BrainOFEmbedder`.
    features : str | sequence of str
        ``"latents"``, ``"covariance"``, ``"evoked"``, or blocks of
        :mod:`brainof_toolbox.features`. Without ``"latents"`` no network is loaded. ``"auto"``:
        all that apply to the first samples that are embedded; ``"explicit"``: all of these but the
        latents.
    pooling : str
        ``"auto"``, ``"compact"``, ``"flatten"``, ``"mean"`` or ``"mean+std"``; ``"auto"`` is
        ``"compact"`` where the network has read-outs of the samples' modalities.
    layer : int | None
        Layers of the network that are run; ``None``: all.
    window : float | dict of str -> float | None
        Length in s of the windows that longer samples are cut into; ``None``: the checkpoint's.
    info : mne.Info | None
        Channels and sampling rate of arrays.
    masker : nilearn masker | 3-D or 4-D atlas | str | None
        Parcellation of images.
    memory : str | joblib.Memory | None
        Cache of region series.
    missing_positions : str
        ``"raise"`` or ``"placeholder"``, for channels without a position.
    batch_size : int
        Windows per forward pass.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:0"``, ``"mps"``.
    precision : {"float32", "bf16"}
        Of the network's matrix products.
    random_state : int | RandomState | None
        Seed of untrained weights (``checkpoint=None``).
    verbose : bool | None
        ``None`` shows progress of work that takes longer than a few seconds: a bar on a terminal
        and in notebooks, a line every 30 s elsewhere. ``True``: from the start; ``False``: never.

    Attributes
    ----------
    backbone : object | None
        The network with its identity; ``None`` when only explicit features are asked for.
    preprocessing : Preprocessing
        Preprocessing that the checkpoint expects.
    checkpoint_info : dict
        Name, sha256, step, number of parameters, corpus and licence of the weights.
    manifest : dict
        Manifest of the checkpoint.
    subjects : frozenset of str
        Hashed names of the subjects that the network was fine-tuned on.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If a parameter or the checkpoint is not usable.

    Notes
    -----
    A pickle leaves out the weights of a bundled checkpoint, which are found again by their
    sha256; other weights are part of it.

    Examples
    --------
    >>> from brainof_toolbox import datasets
    >>> from brainof_toolbox.encoder import Encoder
    >>> epochs = datasets.make_epochs(n_epochs=4, random_state=0)
    >>> Encoder(pooling="mean").embed(epochs).shape
    (4, 128)
    """

    @isolate_torch()
    def __init__(
        self,
        checkpoint="brainof-tiny",
        *,
        features=LATENTS,
        pooling="auto",
        layer=None,
        window=None,
        info=None,
        masker=None,
        memory=None,
        missing_positions="raise",
        batch_size=32,
        device="auto",
        precision="float32",
        random_state=None,
        verbose=None,
    ):
        self.features = parse_features(features)
        self.pooling = check_option("pooling", pooling, POOLINGS)
        self.layer = layer
        if layer is not None:
            check_number("layer", layer, integer=True)
        self.window = _check_window(window)
        check_option("missing_positions", missing_positions, ("raise", "placeholder"))
        if masker is not None:
            masker = resolve_masker(masker)  # raises, and names what is accepted
        check_memory(memory)
        self.read_options = ReadOptions(info, missing_positions, masker, memory)
        if not isinstance(random_state, np.random.RandomState):
            as_seed(random_state)
        running = {"batch_size": batch_size, "device": device, "precision": precision}
        self.configure(**running, info=info, verbose=verbose)
        self.subjects, self.is_fine_tuned = frozenset(), False
        self.explicit = ExplicitFeatures(self.features, is_auto=is_automatic(features))
        self._load(checkpoint, random_state)

    def _load(self, checkpoint, random_state):
        if LATENTS in self.features:
            seed = as_seed(random_state) if checkpoint is None else None
            self.backbone, self.preprocessing = load_backbone(checkpoint, seed)
            self.layer = self.backbone.check_layer(self.layer)
            self.pooling = self.backbone.check_pooling(self.pooling, self.layer)
            self.checkpoint_info = self.backbone.info
            self.manifest = self.backbone.manifest
            return
        self.backbone, self.preprocessing, self.manifest = None, load_preprocessing(checkpoint), {}
        self.checkpoint_info = {"name": None, "corpus": "none (no network is used)"}

    # ------------------------------------------------------------------------------ settings

    def configure(self, *, batch_size, device, precision="float32", info=None, verbose=None):
        """Set how embedding is run, which changes rows by rounding, and the channels of arrays."""
        self.batch_size = check_number("batch_size", batch_size, low=1, integer=True)
        self.n_at_once = max(self.batch_size, 32)  # samples that are read together
        check_device(device)
        self._device, self.verbose = device, verbose
        self.precision = check_option("precision", precision, ("float32", "bf16"))
        self.read_options = replace(self.read_options, info=info)
        return self

    @property
    def device(self):
        """The device that the network runs on."""
        return check_device(self._device)

    @property
    def network(self):
        """The network, on its device and in evaluation mode."""
        if self.backbone is None:
            raise ValueError("There is no network: features do not include 'latents'.")
        return self.backbone.network.to(self.device).eval()

    @property
    def token_network(self):
        """The network, if it takes tokens."""
        if self.backbone is None or self.backbone.embeds != "tokens":
            raise ValueError(
                "The network cannot be looked into: it takes no tokens. This needs a Brain-OF "
                "checkpoint and features='latents'."
            )
        return self.network

    @property
    def has_latents(self):
        """Whether latents are embedded: they are asked for, and the samples are no maps."""
        return self.backbone is not None and LATENTS not in self.explicit.excluded

    @property
    def pooler(self):
        """The form of the latents as rows, for the modalities of the first samples."""
        return self.backbone.pooling(self.pooling, self.explicit.modalities)

    def note_modalities(self, samples):
        """Fix the modalities of lazily read samples, unless they are fixed."""
        self.explicit.note_modalities(samples)
        if self.backbone is not None:
            self.pooler  # noqa: B018 (raises where the network has no read-outs of a modality)

    @property
    def n_columns(self):
        """Number of columns of :meth:`embed`; of explicit features known after the first call."""
        return len(self.feature_names())

    def feature_names(self):
        """Name the columns of :meth:`embed`."""
        names = []
        for feature in self.features:
            if feature == LATENTS:
                columns = self.backbone.columns(self.pooler) if self.has_latents else ()
                names += [f"latents {name}" for name in columns]
                continue
            blocks = self.explicit.blocks_of(feature)
            if not blocks and not self.explicit.is_fixed:
                raise ValueError("Embed samples first: explicit features depend on them.")
            names += [
                f"{block} {name}" for block in blocks for name in self.explicit.columns[block]
            ]
        return names

    @property
    def fingerprint(self):
        """All that determines the row of given signals, as JSON values."""
        found = {
            "features": [getattr(feature, "name", feature) for feature in self.features],
            "explicit": self.explicit.fingerprint(),
            "preprocessing": self.preprocessing.to_dict(),
            "window": self.window,
            "missing_positions": self.read_options.missing_positions,
        }
        if self.backbone is not None:
            found |= {"weights": self.backbone.weights, "pooling": self.pooler.label}
            found |= {"layer": self.layer, "precision": self.precision}
            if self.backbone.config is not None:
                found["architecture"] = self.backbone.config.to_dict()
        return found

    # ------------------------------------------------------------------------ from X to rows

    def samples(self, X, *, keep_broken=False):
        """Split ``X`` into samples that are read when they are needed."""
        return open_samples(X, replace(self.read_options, keep_broken=keep_broken))

    def windows(self, X):
        """Preprocess samples and cut them into windows; yields a WindowBatch at a time."""
        yield from iter_windows(
            self.samples(X), self.preprocessing, window=self.window, n_at_once=self.n_at_once
        )

    def tokens(self, batch, rows):
        """Turn windows into tokens on the device, one batch per modality in reading order."""
        return self.backbone.prepare(batch, rows, self.device)

    def embed(self, X, *, n_jobs=None, on_error="raise"):
        """Embed samples: rows (n_samples, n_columns) float32, blocks side by side."""
        blocks = self.embed_blocks(X, n_jobs=n_jobs, on_error=on_error)
        return np.hstack(list(blocks.values()))

    @group_warnings()
    @isolate_torch()
    def embed_blocks(self, X, *, n_jobs=None, on_error="raise"):
        """Embed samples: a dict of blocks (n_samples, n_columns) float32 by name."""
        # "latents", "covariance", "evoked"; of several modalities "eeg_covariance" and so on.
        # Rows are NaN where a sample lacks the modality.
        samples = self.samples(X, keep_broken=on_error != "raise")
        tasks = plan_parallel_tasks(self, samples, n_jobs, on_error)

        def embed():
            if tasks is not None:
                return embed_tasks(self, samples, tasks, n_jobs, on_error)
            windows, n_samples = self.windows(samples), count_samples(samples)
            return self.average_windows(windows, n_samples, count_threads(n_jobs))

        return self._fix_blocks(embed, samples)

    def embed_windows(self, batches, samples):
        """Embed samples whose windows were read before; returns blocks as ``embed_blocks``."""
        n_samples = count_samples(samples)
        return self._fix_blocks(lambda: self.average_windows(batches, n_samples), samples)

    def _fix_blocks(self, embed, samples):
        """Embed samples, again without what they do not share, and order the blocks."""
        self.note_modalities(samples)
        while True:
            self.explicit.start()
            try:
                blocks = embed()
                break
            except ColumnsDifferError as error:
                if not self.explicit.give_way(error):
                    raise
        self.explicit.fix()
        return self._in_order(blocks, count_samples(samples))

    def average_windows(self, batches, n_samples, n_threads=1):
        """Embed windows, and average over those of each sample; returns blocks by name."""
        means = {}
        batches = progress(batches, description="Embedding", enabled=self.verbose)
        with closing(self._embed_batches(batches, n_threads)) as found:
            for name, sample, values in found:
                means.setdefault(name, SampleMeans(n_samples)).add(sample, values)
        return {name: mean.rows().astype(np.float32) for name, mean in means.items()}

    def _embed_batches(self, batches, n_threads):
        """Yield block, samples (n,) and rows (n, n_columns) of windows."""
        if not self.has_latents:
            for batch in batches:
                yield from self.explicit.compute(batch)
            return
        device = next(self.network.parameters()).device
        is_shared = device.type == "cpu" and self.backbone.embeds == "tokens"
        pieces = ((batch, rows) for batch in batches for rows in batch.split(self.batch_size))
        embed = partial(self._embed_piece, device)
        for (batch, rows), values in map_in_order(embed, pieces, n_threads if is_shared else 1):
            yield LATENTS, batch.sample[rows], values
            if rows[-1] == len(batch) - 1:
                yield from self.explicit.compute(batch)

    @isolate_torch()
    @torch.inference_mode()
    def _embed_piece(self, device, piece):
        """Embed some windows of a batch, in any thread."""
        inputs = self.backbone.prepare(*piece, device)
        with torch.autocast(device.type, torch.bfloat16, self.precision == "bf16"):
            values = self.backbone.embed(inputs, layer=self.layer, pooling=self.pooler)
        return values.double().cpu().numpy()

    def _in_order(self, blocks, n_samples):
        """Order the blocks; those that none of these samples has are NaN."""
        found = {}
        for feature in self.features:
            names = [LATENTS] * self.has_latents
            if feature != LATENTS:
                names = self.explicit.blocks_of(feature)
            if not names and not self.explicit.is_auto:
                raise ValueError(
                    f"The block {feature.name!r} cannot be computed from these samples: "
                    "recordings of EEG and MEG are not locked to an event. Pass epochs, or leave "
                    "it out of features."
                )
            for name in names:
                if name not in blocks:
                    shape = n_samples, len(self.explicit.columns[name])
                    blocks[name] = np.full(shape, np.nan, dtype=np.float32)
                found[name] = blocks[name]
        if not found:
            raise ValueError(
                "No block of explicit features applies to these samples: the sensors are "
                "gradiometers without an orientation. Add orientations, or use "
                "features='latents'."
            )
        return found

    # --------------------------------------------------------------------------- other weights

    def with_network(self, network, subjects=frozenset()):
        """Return an encoder with other weights, such as fine-tuned ones."""
        other = copy.copy(self)
        other.backbone = self.backbone.with_network(network)
        other.subjects = frozenset(subjects)
        other.is_fine_tuned = True
        return other

    def with_outputs(self, network):
        """Return an encoder of which ``"latents"`` are the outputs of a network with a head."""
        other = copy.copy(self)
        other.backbone = self.backbone.with_outputs(network)
        return other

    def only_latents(self):
        """Return an encoder without explicit features."""
        other = copy.copy(self)
        other.features = (LATENTS,)
        other.explicit = ExplicitFeatures(other.features)
        other.explicit.modalities = self.explicit.modalities
        return other

    def without_latents(self):
        """Return an encoder of explicit features alone, whose choice it shares with this one."""
        other = copy.copy(self)
        other.features = tuple(feature for feature in self.features if feature != LATENTS)
        other.backbone = None
        return other

    def with_explicit(self, explicit):
        """Return an encoder with the blocks of explicit features that other samples fixed."""
        other = copy.copy(self)
        other.explicit = explicit
        return other

    def without_network(self):
        """Return an encoder that makes windows and tokens, but cannot embed."""
        other = copy.copy(self)
        other.backbone = self.backbone.without_network()
        return other

    @isolate_torch()
    def save(self, directory):
        """Save the network as a checkpoint."""
        if self.backbone is None or self.backbone.embeds != "tokens":
            raise ValueError(
                "The authors' weights are not saved again: keep the file they are in."
                if self.backbone
                else "There is no network to save: features do not include 'latents'."
            )
        dropped = ("sha256", "versions", "n_parameters")
        manifest = {key: value for key, value in self.manifest.items() if key not in dropped}
        if self.is_fine_tuned:
            manifest["fine_tuned"] = True
        subjects = {*manifest.get("subjects", ()), *self.subjects}
        if subjects:
            manifest["subjects"] = sorted(subjects)
        if self.checkpoint_info["name"] is None:
            manifest.setdefault("datasets", [])
            manifest.setdefault("steps", 0)
        save_checkpoint(
            directory,
            self.backbone.network.cpu(),
            preprocessing=self.preprocessing.to_dict(),
            manifest=manifest,
        )


def _check_window(window):
    for modality, length in window.items() if isinstance(window, dict) else [(None, window)]:
        if modality is not None:
            check_option("window", modality, MODALITIES)
        if length is not None:
            check_number("window", length, low=0, low_open=True)
    return window
