"""The authors' released weights, run by the authors' own code.

Their checkpoints (base to giant, CC BY-NC 4.0) belong to a network with an undocumented state
dictionary, so that they cannot be read into ours. This module wraps a clone of their repository
and a file of weights, both on this machine, as a frozen backbone that every estimator
takes in place of a checkpoint. It follows their model cards :footcite:p:`guo2026brainof`, and
could be tested against a small stand-in that follows them too, not against the real weights.

References
----------
.. footbibliography::
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .._utils.files import sha256_of
from .._utils.validation import check_number, check_option
from .isolate import isolate_torch
from .release_import import Clone, fixed_randomness, read_commit
from .release_weights import check_file, read_state

#: Sizes of the embedding; those of base and huge are inferred from the published sizes.
EMBEDDING_SIZES = {"base": 256, "large": 512, "huge": 768, "giant": 1024}
LICENCE = "CC BY-NC 4.0 (weights; non-commercial)"
CORPUS = "37 datasets, 32,278 participants (as published)"
PATCH = 64  # time points, as published


class ReleasedBrainOF(nn.Module):
    """The authors' network with released weights, frozen; made by :func:`load_release`.

    Parameters
    ----------
    network : torch.nn.Module
        What their factory built, with its weights.
    transform : callable
        Their ``DataTransform``, made.
    clone : Clone
        The clone with the authors' code.
    info : dict
        What ``checkpoint_info_`` shows.
    arguments : dict
        Those of :func:`load_release`.

    Attributes
    ----------
    embedding_size : int
        Number of features.
    info : dict
        ``name, sha256, step, parameters, corpus, licence, repository, commit``.

    Notes
    -----
    It does not change, so that copies are the same object. A pickle holds paths: where it is
    opened, the clone and the checkpoint have to be in place, the clone's code is run, and a
    checkpoint with another sha256 is refused.

    A row depends on its sample only: each goes through the network alone, with the same random
    numbers, should the code draw any on the CPU.

    While the clone's code runs, other threads see its modules under names such as ``datasets``,
    its folder as working directory, and its random states. Clones take turns, so that threads
    that embed wait for each other: use processes.
    """

    def __init__(self, network, transform, clone, info, arguments):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.info, self.embedding_size = info, arguments["embedding_size"]
        self._transform, self._clone, self._arguments = transform, clone, arguments
        self.training = False

    @isolate_torch()
    def forward(self, samples):
        """Embed samples, each by itself.

        Parameters
        ----------
        samples : list of (ndarray | torch.Tensor), each of shape (n_channels, n_times)
            Preprocessed windows, one modality each: EEG and MEG at 256 Hz, fMRI as standardised
            regions by volumes. Channels and lengths may differ between samples.

        Returns
        -------
        embedding : torch.Tensor, shape (n_samples, embedding_size)
            In float32, on the device of the weights.

        Raises
        ------
        TypeError
            If a sample is no array.
        ValueError
            If it is not (n_channels, n_times) or not finite, or their network returns something
            else than the model card states.
        RuntimeError
            If their code fails.
        """
        tail = self._arguments["tail"]
        samples = [_as_sample(sample, i, tail) for i, sample in enumerate(samples)]
        if not samples:
            raise ValueError("There are no samples to embed.")
        with self._clone.at_home(), torch.no_grad():
            return torch.stack([self._embed(sample) for sample in samples])

    def _embed(self, sample):
        shape, name = sample.shape, self.info["name"]
        device = next(self.network.parameters()).device
        axis = self._arguments["add_batch_axis"]
        with fixed_randomness():
            try:
                made = self._transform(sample)
            except Exception as error:
                raise RuntimeError(
                    f"Their DataTransform raised {type(error).__name__} on an array {shape}: "
                    f"{error}"
                ) from error
            made = _map(made, lambda value: _to_batch(value, device, axis))
            try:
                found = self._call(made)
            except Exception as error:
                raise RuntimeError(
                    f"{name} raised {type(error).__name__} on an array {shape}, of which "
                    f"DataTransform and add_batch_axis={axis} made {_describe(made)}: {error}"
                ) from error
        if isinstance(found, (tuple, list)) and found:
            found = found[0]  # mixtures of experts often return a loss beside
        wanted = (1, self.embedding_size)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) not in (wanted, wanted[1:]):
            raise ValueError(
                f"{name} was expected to return {wanted} for one sample, and returned "
                f"{_describe(found)} for an array {shape}. Is 'variant' that of the weights? If "
                "that is the size of its embedding, pass embedding_size=."
            )
        return found.reshape(self.embedding_size).float()

    def _call(self, made):
        if isinstance(made, dict):
            return self.network(**made)
        return self.network(*made) if isinstance(made, tuple) else self.network(made)

    def train(self, mode=True):
        """Keep evaluation mode: the network is frozen.

        Parameters
        ----------
        mode : bool
            Ignored.

        Returns
        -------
        self : ReleasedBrainOF
            Unchanged.
        """
        return super().train(False)

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return _reload, (self._arguments, self.info["sha256"])

    def __repr__(self):
        return f"<ReleasedBrainOF {self.info['name']}>"


def load_release(
    repository,
    checkpoint,
    *,
    variant="large",
    run_their_code=False,
    transform_parameters=None,
    embedding_size=None,
    tail="pad",
    add_batch_axis=True,
    leave_out=(),
):
    """Wrap a clone of the authors' repository and a file of their weights as a backbone.

    **This imports and runs the clone's code**, with all rights of this process: read it first.
    The checkpoint is data: what is pickled in it is never run. Nothing is downloaded. What to
    fetch, and what our estimators feed it: :doc:`/released_weights`.

    Parameters
    ----------
    repository : path-like
        Root of the clone, with ``models/transformer.py`` and ``datasets``.
    checkpoint : path-like
        The ``.pth`` file. A distributed checkpoint (giant) is refused; the error gives the
        command that converts it.
    variant : str
        ``"base"``, ``"large"``, ``"huge"`` or ``"giant"``: the factory with a name that
        starts with ``brainof_<variant>_``. Where there are several, pass its whole name.
    run_their_code : bool
        Give ``True`` if you trust the clone.
    transform_parameters : dict | None
        Of their ``DataTransform``; ``None`` makes it without any.
    embedding_size : int | None
        ``None``: 256, 512, 768, 1024 for base, large, huge, giant.
    tail : str
        What happens to points beyond the last whole patch of 64: ``"pad"`` fills it up with
        zeros, the mean of preprocessed signals; ``"cut"`` drops it.
    add_batch_axis : bool
        Put an axis of one sample before what ``DataTransform`` returns. False if it does so.
    leave_out : sequence of str
        Starts of names of tensors in the checkpoint that the network has no use for. It is built
        without a classifier, and ``head.*`` is left out by itself; anything else must match.

    Returns
    -------
    backbone : ReleasedBrainOF
        For ``BrainOFEmbedder(backbone)``, and for classifiers and regressors with
        ``adaptation="probe"``.

    Raises
    ------
    FileNotFoundError
        If the clone or the weights are not there.
    ValueError
        If ``run_their_code`` was not given; if the clone is not what the model card describes; if
        the weights hold code, are damaged, or are not those of the network. Messages state what
        was expected and what was found.
    ImportError
        If importing the clone fails, most often for a package that is not installed.
    RuntimeError
        If its code fails.
    """
    kind = _kind(variant)
    if run_their_code is not True:
        raise ValueError(
            "load_release imports and runs the code of the clone, with all rights of this "
            f"process. If you trust it, pass run_their_code=True, got {run_their_code!r}."
        )
    size = EMBEDDING_SIZES[kind] if embedding_size is None else embedding_size
    return _build(
        {
            "repository": os.path.abspath(repository),
            "checkpoint": os.path.abspath(checkpoint),
            "variant": variant,
            "transform_parameters": dict(transform_parameters or {}),
            "embedding_size": check_number("embedding_size", size, low=1, integer=True),
            "tail": check_option("tail", tail, ("pad", "cut")),
            "add_batch_axis": check_option("add_batch_axis", add_batch_axis, (True, False)),
            "leave_out": (leave_out,) if isinstance(leave_out, str) else tuple(leave_out),
        }
    )


def _kind(variant):
    found = [k for k in EMBEDDING_SIZES if str(variant).startswith(f"brainof_{k}_")]
    return found[0] if found else check_option("variant", variant, tuple(EMBEDDING_SIZES))


@isolate_torch()
def _build(arguments):
    root, checkpoint = (Path(arguments[key]) for key in ("repository", "checkpoint"))
    check_file(checkpoint)
    clone = Clone(root)
    with clone.at_home(), fixed_randomness():
        name, factory = _find_factory(clone, arguments["variant"])
        network = _make(name, factory, {"num_classes": 0, "layer_scale_type": "per_channel"})
        if not isinstance(network, nn.Module):
            raise ValueError(f"{name} made a {type(network).__name__}, expected a torch Module.")
        datasets = clone.load("datasets")
        if not hasattr(datasets, "DataTransform"):
            public = [key for key in vars(datasets) if not key.startswith("_")]
            raise ValueError(f"{datasets.__file__} has no 'DataTransform', it has {public}.")
        transform = arguments["transform_parameters"]
        transform = _make("DataTransform", datasets.DataTransform, transform)
    network.load_state_dict(read_state(checkpoint, network.state_dict(), arguments["leave_out"]))
    info = {
        "name": name,
        "sha256": sha256_of(checkpoint),
        "step": None,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "corpus": CORPUS,
        "licence": LICENCE,
        "repository": str(root),
        "commit": read_commit(root),
    }
    return ReleasedBrainOF(network, transform, clone, info, arguments)


def _find_factory(clone, variant):
    """Name and callable of the one factory of a variant."""
    module = clone.load("models.transformer")
    known = [n for n in dir(module) if n.startswith("brainof_") and callable(getattr(module, n))]
    found = [variant] if variant in known else []
    found = found or [name for name in known if name.startswith(f"brainof_{variant}_")]
    if len(found) != 1:
        raise ValueError(
            f"{module.__file__} has {found or 'no factory'} for the variant {variant!r}, expected "
            f"one named brainof_{_kind(variant)}_..., as is brainof_large_331M_A150M; found "
            f"{known or 'none'}. Pass the whole name as variant=."
        )
    return found[0], getattr(module, found[0])


def _make(name, factory, parameters):
    try:
        return factory(**parameters)
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        raise RuntimeError(
            f"The clone's {name}({given}) raised {type(error).__name__}: {error}. Is the clone of "
            "the version that the model card describes? DataTransform gets transform_parameters."
        ) from error


def _reload(arguments, sha256):
    """Make it again from its clone and checkpoint."""
    released = _build(arguments)
    if released.info["sha256"] != sha256:
        raise ValueError(
            f"{arguments['checkpoint']} has sha256 {released.info['sha256']}, but this object was "
            f"pickled with the weights {sha256}. Put that checkpoint back."
        )
    return released


def _as_sample(sample, i, tail):
    """Return a contiguous float32 array of whole patches."""
    if isinstance(sample, torch.Tensor):
        sample = sample.detach().cpu().numpy()
    if not isinstance(sample, np.ndarray):
        raise TypeError(
            f"samples[{i}] must be an array (n_channels, n_times), got {type(sample).__name__}. "
            "The published usage reads one modality at a time: embed each by itself."
        )
    if sample.ndim != 2 or 0 in sample.shape:
        raise ValueError(
            f"samples[{i}] must be (n_channels, n_times), none empty, got shape {sample.shape}."
        )
    sample = np.array(sample, dtype=np.float32)  # a copy: their code may write to it
    if not np.isfinite(sample).all():
        raise ValueError(f"samples[{i}] holds NaN or Inf. Repair or drop it first.")
    n_over = sample.shape[1] % PATCH
    if n_over and tail == "pad":
        return np.pad(sample, ((0, 0), (0, PATCH - n_over)))
    if sample.shape[1] < PATCH:
        raise ValueError(
            f"samples[{i}] has {sample.shape[1]} time points, fewer than a patch of {PATCH}; "
            "tail='pad' fills it up."
        )
    return np.ascontiguousarray(sample[:, : sample.shape[1] - n_over])


def _map(value, function):
    """Apply to what ``DataTransform`` returned, at any depth."""
    if isinstance(value, dict):
        return {key: _map(each, function) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)([_map(each, function) for each in value])
    return function(value)


def _to_batch(value, device, add_batch_axis):
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value))
    if not isinstance(value, torch.Tensor):
        return value
    value = value.to(device, torch.float32 if value.is_floating_point() else value.dtype)
    return value[None] if add_batch_axis else value


def _describe(value):
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {[_describe(each) for each in value]}"
    if isinstance(value, dict):
        return f"a dict of { ({key: _describe(each) for key, each in value.items()}) }"
    return f"a {type(value).__name__}"
