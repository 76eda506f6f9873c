"""EDF+ and BDF+ files with annotations, and EEGLAB files, as recorders and programs write them."""

from __future__ import annotations

import numpy as np


def write_edf(path, data=None, names=(), *, sfreq=100, annotations=(), bdf=False):
    """Records of 1 s; ``data`` (n_channels, n_times) in V, one annotation (bytes) per record."""
    n_signals, width = len(names), 3 if bdf else 2
    n_records = data.shape[1] // sfreq if n_signals else len(annotations)
    length = max(map(len, annotations), default=0) + 24
    length -= length % 6  # whole values of two and of three bytes
    labels, n_values = list(names), [sfreq] * n_signals
    if annotations:
        labels.append(f"{'BDF' if bdf else 'EDF'} Annotations")
        n_values.append(length // width)
    n, top = len(labels), 2 ** (8 * width - 1)
    head = [(b"\xffBIOSEMI" if bdf else "0", 8), ("X X X X", 80), ("Startdate X X X X", 80)]
    head += [("01.01.20", 8), ("10.00.00", 8), (256 * (n + 1), 8)]
    head += [("EDF+C" if annotations else "", 44), (n_records, 8), (1, 8), (n, 4)]
    units = ["uV"] * n_signals + [""] * (n - n_signals)
    columns = [(labels, 16), ([""] * n, 80), (units, 8), ([-1000] * n, 8), ([1000] * n, 8)]
    columns += [([-top] * n, 8), ([top - 1] * n, 8), ([""] * n, 80), (n_values, 8), ([""] * n, 32)]
    head += [(value, size) for values, size in columns for value in values]
    with open(path, "wb") as file:
        for value, size in head:
            file.write((value if isinstance(value, bytes) else str(value).encode()).ljust(size))
        for record in range(n_records):
            for row in data if n_signals else ():
                piece = row[record * sfreq : (record + 1) * sfreq] * 1e6
                values = np.round((piece + 1000) / 2000 * (2 * top - 1) - top).astype("<i4")
                file.write(values.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
            if annotations:
                text = b"+%d\x14\x14\0+%d\x14%s\x14\0" % (record, record, annotations[record])
                file.write(text.ljust(length, b"\0"))
    return path


def write_set(path, *, n_trials=1, text="go", codec=None):
    """Four channels of 2 s at 100 Hz; ``codec`` writes ``text`` as one 16-bit value per byte."""
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    shape = (4, 200, n_trials) if n_trials > 1 else (4, 200)
    channels = [(name,) for name in ("Fz", "Cz", "Pz", "Oz")]
    events = [(text, 1 + 200 * trial, trial + 1) for trial in range(n_trials)]
    epochs = [(trial + 1, text, 0) for trial in range(n_trials)]
    fields = ["event", "eventtype", "eventlatency"]
    content = {
        **{"setname": "x", "nbchan": 4, "trials": n_trials, "pnts": 200, "srate": 100.0},
        **{"xmin": 0.0, "xmax": 1.99, "data": rng.normal(0, 20, shape).astype("f4")},
        "chanlocs": np.array(channels, dtype=[("labels", "O")]),
        "event": np.array(events, dtype=[(n, "O") for n in ("type", "latency", "epoch")]),
        "epoch": np.array(epochs, dtype=[(n, "O") for n in fields]) if n_trials > 1 else [],
        **{name: [] for name in ("icawinv", "icaweights", "icasphere", "urevent")},
        "chaninfo": {"nosedir": "+X"},
    }
    savemat(path, content, appendmat=False, oned_as="row")
    if codec:  # a text of one letter, whose bytes fill one small element
        utf8, other = text.encode(), text.encode(codec)
        old = b"\x10\0\x02\0" + utf8.ljust(4, b"\0")
        new = b"\x04\0\x02\0" + other.ljust(4, b"\0")
        whole = path.read_bytes()
        assert old in whole
        path.write_bytes(whole.replace(old, new))
    return path
