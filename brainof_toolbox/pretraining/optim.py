"""AdamW with its groups, the learning rate of each step, and moving averages of the weights."""

from __future__ import annotations

import math

import torch

from ..models.attention import DintAttention
from ..models.brainof import BrainOF
from ..models.embedding import ContentEmbedding, PlaceEmbedding
from ..models.layers import LayerScale, Linear, RMSNorm
from ..models.moe import Experts

#: Every parameter of the network by the module that owns it: matrices decay, ...
DECAYED = {Linear: ("weight",), Experts: ("gate_up", "down")}
#: ... and what scales, shifts or stands for something does not.
FREE = {
    RMSNorm: ("weight",),
    LayerScale: ("weight",),
    DintAttention: ("lam",),
    BrainOF: ("latents",),
    ContentEmbedding: ("mask",),
    PlaceEmbedding: ("sensor_type", "modality"),
}


def parameter_groups(module, weight_decay):
    """Sort parameters into those that decay and those that do not.

    Parameters
    ----------
    module : torch.nn.Module
        The network, or what is wrapped around it.
    weight_decay : float
        Of the first group.

    Returns
    -------
    groups : list of dict
        Two groups for an optimizer, each parameter in exactly one.

    Raises
    ------
    TypeError
        If nobody has decided on a parameter.
    """
    decayed, free = {}, {}
    for path, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if _is_listed(DECAYED, owner, name):
                decayed[id(parameter)] = parameter
            elif _is_listed(FREE, owner, name):
                free[id(parameter)] = parameter
            else:
                raise TypeError(
                    f"The parameter {path}.{name} of {type(owner).__name__} is in no group: add "
                    f"it to DECAYED or FREE in {__name__}."
                )
    return [
        {"params": list(decayed.values()), "weight_decay": weight_decay},
        {"params": list(free.values()), "weight_decay": 0.0},
    ]


def _is_listed(table, owner, name):
    return any(isinstance(owner, kind) and name in names for kind, names in table.items())


def make_optimizer(module, config):
    """Build AdamW :footcite:p:`loshchilov2019decoupled`.

    Parameters
    ----------
    module : torch.nn.Module
        What is trained, wrapped and on its device.
    config : PretrainingConfig
        ``weight_decay`` and ``betas``; the learning rate is set in each step.

    Returns
    -------
    optimizer : torch.optim.AdamW
        The optimizer.

    References
    ----------
    .. footbibliography::
    """
    groups = parameter_groups(module, config.weight_decay)
    # One pass over memory: on two cores four times faster than the plain loop.
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate(step, total_steps, config):
    """Return the learning rate of a step: a line up, then half a cosine down.

    Parameters
    ----------
    step : int
        From 0.
    total_steps : int
        Of the whole run, however often it is interrupted.
    config : PretrainingConfig
        ``learning_rate``, ``final_learning_rate`` and ``warmup_steps``.

    Returns
    -------
    rate : float
        Above zero in the first step, the highest when the warm-up ends, the lowest in the last
        step.
    """
    n_warmup = min(config.warmup_steps, total_steps)
    if step < n_warmup:
        return config.learning_rate * (step + 1) / n_warmup
    done = (step + 1 - n_warmup) / max(total_steps - n_warmup, 1)  # above 0, 1 in the last step
    lowest = config.final_learning_rate
    return config.learning_rate * (lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done)))


def set_learning_rate(optimizer, rate):
    """Set the learning rate of all groups.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Changed in place.
    rate : float
        The learning rate.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate


class MovingAverage:
    """Exponential moving average of the weights.

    The first steps count less than ``decay`` says, ``(1 + step) / (10 + step)``, so that the
    average forgets the initial weights soon, whatever the decay.

    Parameters
    ----------
    parameters : dict of str to torch.nn.Parameter
        What is averaged: whole tensors, or this process's parts of them.
    decay : float
        Weight of the past in each step.
    """

    def __init__(self, parameters, decay):
        self._parameters, self.decay = list(parameters.values()), decay
        self.values = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, step):
        """Take in the weights after a step.

        Parameters
        ----------
        step : int
            From 0.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.values.values()), self._parameters, 1 - decay)
