"""Small fixed inputs, and the rows that the bundled weights give for them.

``python tests/estimators/make_bundled_rows.py`` writes ``bundled_rows.json`` anew: after the
weights have changed, and for no other reason.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from brainof_toolbox import BrainOFEmbedder, PairedSignals, Signals

FILE = Path(__file__).with_name("bundled_rows.json")
N_SAMPLES = 2
#: Sensor types, rate in Hz, time points, size in SI units, waves in Hz.
KINDS = {
    "eeg": (("eeg",), 200.0, 300, {"eeg": 2e-5}, (10.0, 21.0)),
    "meg": (("mag", "grad"), 256.0, 320, {"mag": 4e-13, "grad": 1e-11}, (6.0, 18.0)),
    "fmri": (("bold",), 0.5, 48, {"bold": 1.0}, (0.02, 0.08)),
}
#: The inputs of each pooling; the weights have no read-outs of fMRI.
POOLINGS = {"flatten": (*KINDS, "paired"), "compact": ("eeg", "meg")}


def uniform(seed, *shape):
    """Numbers in [-1, 1) of a stream that numpy has promised never to change."""
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)) * 2.0**-52 - 1.0).reshape(shape)


def make_signals(modality, n_channels=6):
    """Waves that differ by channel and sample, and noise."""
    kinds, sfreq, n_times, sizes, waves = KINDS[modality]
    seed = sorted(KINDS).index(modality)
    place = uniform(seed + 10, n_channels, 3)
    place[:, 2] = np.abs(place[:, 2]) + 0.1
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    types = [kinds[i % len(kinds)] for i in range(n_channels)]
    time = np.arange(n_times) / sfreq
    data = 0.5 * uniform(seed, N_SAMPLES, n_channels, n_times)
    for number, (frequency, channel) in enumerate(zip(waves, (0, n_channels - 1))):
        size = 1.0 + np.arange(N_SAMPLES)[:, None, None]
        falls = 1.0 / (1.0 + np.abs(np.arange(n_channels) - channel))[:, None]
        data += size * falls * np.sin(2 * np.pi * frequency * time + number)
    data *= np.array([sizes[kind] for kind in types])[:, None]
    radius = {"eeg": 0.09, "meg": 0.11, "fmri": 0.06}[modality]
    return Signals(
        data.astype(np.float32),
        sfreq,
        modality,
        [f"{modality}{i}" for i in range(n_channels)],
        types,
        radius * place,
        ch_ori=place if modality == "meg" else None,
    )


def make_inputs():
    """By name: each modality, and all of them at once."""
    inputs = {modality: make_signals(modality) for modality in KINDS}
    return {**inputs, "paired": PairedSignals(dict(inputs))}


def make_rows():
    """Which weights; of each row its length and some numbers, by input and pooling."""
    found, inputs = {}, make_inputs()
    for pooling, names in POOLINGS.items():
        embedder = BrainOFEmbedder(device="cpu", pooling=pooling)
        for name in names:
            rows = embedder.fit(inputs[name]).transform(inputs[name]).astype(np.float64)
            # Another latent and another feature each time; all of the compact numbers.
            step = rows.shape[1] // 64 + 1 if pooling == "flatten" else 1
            norms = np.linalg.norm(rows, axis=1)
            found[f"{name}, {pooling}"] = [
                {"norm": round(norm, 5), "numbers": row[::step].round(6).tolist()}
                for row, norm in zip(rows, norms.tolist(), strict=True)
            ]
    return {"sha256": embedder.checkpoint_info_["sha256"], "rows": found}


def main():
    """Write the file."""
    FILE.write_text(json.dumps(make_rows(), indent=1) + "\n")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
