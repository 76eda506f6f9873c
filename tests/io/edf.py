"""Small EDF+, BDF+ and GDF files, with records that begin when a test wants them to."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def record_text(onset, events=()):
    """The annotations of a record: when it began, then events (onset, duration, text)."""
    text = f"+{onset}\x14\x14\0"
    for at, duration, word in events:
        text += f"+{at}" + (f"\x15{duration}" if duration else "") + f"\x14{word}\x14\0"
    return text.encode()


def write_edf(
    path,
    data,
    names,
    sfreq,
    *,
    flag="",
    onsets=None,
    events=(),
    duration=1.0,
    prefilter="",
    texts=None,
):
    """Write microvolts (n_channels, n_times) as EDF, or as BDF where the path ends so.

    ``onsets``: when each record began; events (onset, duration, text) go into the record before
    whose end they happen. ``texts``: the bytes of the annotation channel themselves.
    """
    path, data = Path(path), np.asarray(data, dtype=float)
    is_bdf = path.suffix.lower() == ".bdf"
    width, top = (3, 2**23 - 1) if is_bdf else (2, 2**15 - 1)
    n_values = round(sfreq * duration)
    n_records = data.shape[1] // n_values
    filters = [prefilter] * len(data) if isinstance(prefilter, str) else list(prefilter)
    if texts is None and onsets is not None:
        texts = [record_text(onset) for onset in onsets]
        for event in events:
            before = np.flatnonzero(np.array(onsets, dtype=float) <= float(event[0]) + 1e-9)
            row = before[-1] if len(before) else 0
            texts[row] += record_text(0, [event]).partition(b"\0")[2]
    limit = 10.0 * np.ceil(np.abs(data).max() / 10)
    channels = [(name, "uV", limit, text, n_values) for name, text in zip(names, filters)]
    if texts is not None:
        length = -(-max(map(len, texts)) // width) + 2
        label = "BDF Annotations" if is_bdf else "EDF Annotations"
        channels.append((label, "", 1, "", length))
    columns = [
        (16, [c[0] for c in channels]),
        (80, [""] * len(channels)),
        (8, [c[1] for c in channels]),
        (8, [f"{-c[2]:g}" for c in channels]),
        (8, [f"{c[2]:g}" for c in channels]),
        (8, [-top - 1] * len(channels)),
        (8, [top] * len(channels)),
        (80, [c[3] for c in channels]),
        (8, [c[4] for c in channels]),
        (32, [""] * len(channels)),
    ]
    start = "\xffBIOSEMI" if is_bdf else "0"
    fixed = [(8, start), (80, "X X X X"), (80, "Startdate X X X X"), (8, "01.01.20")]
    fixed += [(8, "10.00.00"), (8, 256 * (len(channels) + 1)), (44, flag), (8, n_records)]
    fixed += [(8, f"{duration:g}"), (4, len(channels))]
    fields = fixed + [(size, value) for size, values in columns for value in values]
    head = b"".join(str(value).encode("latin-1").ljust(size) for size, value in fields)
    counts = np.round((data + limit) / (2 * limit) * (2 * top + 1) - top - 1).astype("<i4")
    body = []
    for row in range(n_records):
        block = np.ascontiguousarray(counts[:, row * n_values : (row + 1) * n_values])
        body.append(block.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
        if texts is not None:
            body.append(texts[row].ljust(length * width, b"\0"))
    path.write_bytes(head + b"".join(body))
    return path


def write_gdf(path, data, names, sfreq, *, prefilter):
    """Write microvolts (n_channels, n_times) as GDF 1.25, of which MNE reads filters too."""
    path, data = Path(path), np.asarray(data, dtype=float)
    n_channels, n_records = len(data), int(data.shape[1] // sfreq)
    limit = 10.0 * np.ceil(np.abs(data).max() / 10)
    little = lambda values, kind: np.asarray(values, dtype=kind).tobytes()  # noqa: E731
    fixed = b"GDF 1.25" + b"X".ljust(80) + b"X".ljust(80) + b"2020010110000000"
    fixed += little(256 * (n_channels + 1), "<i8") + bytes(44) + little(n_records, "<i8")
    fixed += little([1, 1], "<u4") + little(n_channels, "<u4")
    every = np.ones(n_channels)
    fields = b"".join(name.encode().ljust(16) for name in names)
    fields += bytes(80 * n_channels) + b"uV".ljust(8) * n_channels
    fields += little(-limit * every, "<f8") + little(limit * every, "<f8")
    fields += little(-32768 * every, "<i8") + little(32767 * every, "<i8")
    fields += b"".join(text.encode().ljust(80) for text in prefilter)
    fields += little(sfreq * every, "<i4") + little(3 * every, "<i4") + bytes(32 * n_channels)
    counts = np.round((data + limit) / (2 * limit) * 65535 - 32768).astype("<i2")
    blocks = counts[:, : n_records * int(sfreq)].reshape(n_channels, n_records, -1)
    path.write_bytes(fixed + fields + blocks.transpose(1, 0, 2).tobytes() + bytes(8))
    return path
