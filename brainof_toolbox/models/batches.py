"""Dataclasses of tensors that move as a whole."""

from __future__ import annotations

import dataclasses

import torch


class TensorFields:
    """Mixin for dataclasses: applies an operation of tensors to all fields that are tensors."""

    def _map(self, function, names=None):
        names = [field.name for field in dataclasses.fields(self)] if names is None else names
        fields = {name: getattr(self, name) for name in names}
        found = {k: function(v) for k, v in fields.items() if isinstance(v, torch.Tensor)}
        nested = {k: v._map(function) for k, v in fields.items() if isinstance(v, TensorFields)}
        return dataclasses.replace(self, **found, **nested)

    def to(self, device=None, *, dtype=None, non_blocking=False):
        """Return a copy on another device, or with another type of its floating-point tensors.

        Parameters
        ----------
        device : torch.device | str | None
            Device; ``None`` leaves it.
        dtype : torch.dtype | None
            Type of floating-point tensors; ``None`` leaves it.
        non_blocking : bool
            Copy from pinned memory without waiting.

        Returns
        -------
        batch : object
            The copy.
        """

        def move(tensor):
            kind = dtype if tensor.is_floating_point() else None
            return tensor.to(device, kind, non_blocking=non_blocking)

        return self._map(move)

    def pin_memory(self):
        """Return a copy in page-locked memory, from which a GPU copies fast.

        Returns
        -------
        batch : object
            The copy.
        """
        return self._map(lambda tensor: tensor.pin_memory())
