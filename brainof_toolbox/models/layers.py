"""Small bricks that know nothing of brains.

B batch, S tokens, D width, H hidden width, F features, N number of wavelengths
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Linear(nn.Linear):
    """Linear map without bias whose weights come from a generator that is handed over.

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    orthogonal : bool
        Start with orthonormal columns (or rows), so that what goes in can be read out again;
        else with normal numbers that keep the variance, which is cheaper to draw.
    """

    def __init__(self, n_in, n_out, orthogonal=False):
        super().__init__(n_in, n_out, bias=False, dtype=torch.float32)
        self.orthogonal = orthogonal

    def reset_parameters(self):
        """Draw nothing: the global random state is not ours."""

    def initialise(self, generator):
        """Fill the weights.

        Parameters
        ----------
        generator : torch.Generator
            Source of the random numbers.
        """
        if self.orthogonal:
            nn.init.orthogonal_(self.weight, generator=generator)
        else:
            nn.init.normal_(self.weight, std=self.in_features**-0.5, generator=generator)


class RMSNorm(nn.Module):
    """Divide by the root mean square over the last axis, then scale each channel.

    Parameters
    ----------
    width : int
        Size of the last axis.
    eps : float
        Added under the root.
    """

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width, dtype=torch.float32))

    def initialise(self, generator):
        """Start as the bare norm.

        Parameters
        ----------
        generator : torch.Generator
            Not used.
        """
        nn.init.ones_(self.weight)

    def forward(self, x):
        """Normalise.

        Parameters
        ----------
        x : torch.Tensor, shape (..., D)
            Any tensor.

        Returns
        -------
        x : torch.Tensor, shape (..., D)
            Same type as the input.
        """
        # Written out: three times faster on CPU than the library's own; statistics in >= float32.
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight.to(x.dtype)


class LayerScale(nn.Module):
    """One learned factor per channel on the output of a branch.

    Parameters
    ----------
    width : int
        Number of channels D.
    initial : float
        Initial factor.
    """

    def __init__(self, width, initial):
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(width, dtype=torch.float32))

    def initialise(self, generator):
        """Start at the same factor everywhere.

        Parameters
        ----------
        generator : torch.Generator
            Not used.
        """
        nn.init.constant_(self.weight, self.initial)

    def forward(self, x):
        """Scale.

        Parameters
        ----------
        x : torch.Tensor, shape (..., D)
            Output of a branch.

        Returns
        -------
        x : torch.Tensor, shape (..., D)
            The scaled branch.
        """
        return x * self.weight


class SwiGLU(nn.Module):
    """Gated feed-forward part: ``down(silu(gate) * up)``.

    Parameters
    ----------
    width : int
        Width D.
    hidden : int
        Hidden width H.
    """

    def __init__(self, width, hidden):
        super().__init__()
        self.gate_up = Linear(width, 2 * hidden)
        self.down = Linear(hidden, width)

    def forward(self, x):
        """Apply to each token.

        Parameters
        ----------
        x : torch.Tensor, shape (..., D)
            Tokens.

        Returns
        -------
        x : torch.Tensor, shape (..., D)
            Tokens.
        """
        gate, up = self.gate_up(x).chunk(2, dim=-1)  # 2 x (..., H)
        return self.down(F.silu(gate) * up)  # (..., D)


class Fourier(nn.Module):
    """Cosines and sines of a scalar at wavelengths in a geometric series.

    Parameters
    ----------
    first, last : float
        Wavelengths at the two ends, in the unit of the scalar.
    count : int
        How many.
    """

    def __init__(self, first, last, count):
        super().__init__()
        ratio = (last / first) ** (1 / max(count - 1, 1))
        self.wavelengths = tuple(first * ratio**i for i in range(count))
        self.width = 2 * count
        # Computed where it is, also under torch.device("meta"): it is no parameter.
        angular = [2 * math.pi / wavelength for wavelength in self.wavelengths]
        angular = torch.tensor(angular, dtype=torch.float32, device="cpu")
        self.register_buffer("angular", angular, persistent=False)  # (N,)

    def forward(self, x):
        """Encode.

        Parameters
        ----------
        x : torch.Tensor, shape (...)
            A scalar each.

        Returns
        -------
        features : torch.Tensor, shape (..., 2 N)
            Cosines, then sines.
        """
        angle = x[..., None] * self.angular  # (..., N)
        return torch.cat([angle.cos(), angle.sin()], dim=-1)  # (..., 2N)


def soft_limit(x, limit):
    """Let small vectors pass and saturate the root mean square of large ones.

    Parameters
    ----------
    x : torch.Tensor, shape (..., D)
        Any vectors.
    limit : float
        Root mean square that is never exceeded.

    Returns
    -------
    x : torch.Tensor, shape (..., D)
        Vectors of the same directions.
    """
    return x * torch.rsqrt(1 + x.square().mean(-1, keepdim=True) / limit**2)


def call_block(block, *arguments, ledger, recompute):
    """Call a block that ends with a ledger, keeping its activations or not.

    Parameters
    ----------
    block : callable
        Takes the arguments and the ledger.
    *arguments : object
        What it takes before the ledger.
    ledger : Ledger | None
        Gets what the block appends, once.
    recompute : bool
        Keep the arguments only, and call the block again in the backward pass.

    Returns
    -------
    x : torch.Tensor
        What the block returns.
    """
    if not recompute:
        return block(*arguments, ledger)

    def call(*arguments):  # a list of its own each time, or the second call would append again
        entries = None if ledger is None else type(ledger)()
        return block(*arguments, entries), entries

    # Nothing is random inside, and the global random state is not ours to touch.
    x, entries = checkpoint(call, *arguments, use_reentrant=False, preserve_rng_state=False)
    for entry in entries or ():
        ledger.append(entry)
    return x
