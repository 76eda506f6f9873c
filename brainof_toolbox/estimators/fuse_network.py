"""Add the outputs of a trained network to those of a probe on explicit features."""

from __future__ import annotations

import numpy as np

from .decoders import NETWORK
from .fusion import LogisticFamily, SquaresFamily, choose_factors
from .network import predict_outputs


def fuse_network(data, network, batches, blocks, train, valid):
    """Choose the factors of a network and of a probe on explicit blocks; returns their fields."""
    # Both members were fitted to ``train``; factors are chosen on ``valid``, as early stopping is.
    outputs = _network_outputs(data, network, batches)
    moved, alignment = data.align_blocks({"latents": outputs, **blocks})
    outputs = moved.pop("latents").astype(np.float64)
    fields = {"alignment": alignment}
    if not moved:
        return fields
    family = (LogisticFamily if data.is_classification else SquaresFamily)(
        data.targets, data.weight
    )
    factors = np.full(2, 0.5)
    if len(valid):
        members = [outputs, data.fit_probe(moved, train).decision(moved)]
        watched = np.zeros(len(outputs), dtype=bool)
        watched[valid] = True
        members = [_watched(_in_units(rows, family), watched) for rows in members]
        groups = None if data.groups is None else data.groups[valid]
        factors = choose_factors(family, members, groups, factors)
    probe = data.fit_probe(moved)
    fields |= {"probe": probe, "factors": tuple(map(float, factors))}
    return fields | {"shares": _shares(factors, outputs, probe, moved)}


def _network_outputs(data, network, batches):
    n_samples, batch_size = len(data.targets), data.encoder.batch_size
    return predict_outputs(network, batches, n_samples, batch_size).numpy()


def _in_units(outputs, family):
    return (outputs - family.origin) / family.unit


def _watched(outputs, watched):
    return np.where(watched[:, None], outputs, np.nan)


def _shares(factors, outputs, probe, blocks):
    """Share of the network and of each block in the spread of the outputs."""
    spread = [factors[0] * outputs.std(axis=0).sum()]
    spread.append(factors[1] * probe.decision(blocks).std(axis=0).sum())
    own, explicit = (float(part / sum(spread)) if sum(spread) else 0.5 for part in spread)
    return {NETWORK: own} | {name: explicit * w for name, w in probe.weights_.items()}
