"""Convert braindecode's datasets of windows to mne.Epochs, without an import of braindecode."""

from __future__ import annotations

import numpy as np


def as_epochs(X):
    """Return datasets of windows, alone or in a list, as Epochs; return other samples as is."""
    items = []
    for x in X if isinstance(X, list | tuple) else [X]:
        is_concat = hasattr(x, "datasets") and hasattr(x, "cumulative_sizes")
        items += x.datasets if is_concat else [x]
    if not any(map(_is_dataset, items)):
        return X
    found = [_open(item) if _is_dataset(item) else item for item in items]
    return found[0] if items[0] is X else found


def _is_dataset(x):
    is_labelled = hasattr(x, "description") and hasattr(x, "transform")
    return is_labelled and (hasattr(x, "windows") or hasattr(x, "raw"))


def _open(dataset):
    """Return the windows of one recording, with its description in their metadata."""
    import mne

    labels = {} if dataset.description is None else dict(dataset.description)
    named = ", ".join(f"{key} {value}" for key, value in labels.items())
    name = f"{type(dataset).__name__} ({named})"
    if not hasattr(dataset, "crop_inds"):
        raise TypeError(
            f"{name} is not cut into windows: use braindecode's create_windows_from_events or "
            "create_fixed_length_windows."
        )
    if dataset.transform is not None:
        raise ValueError(
            f"{name} has a transform, which is not applied here. Set dataset.transform = None, "
            "and apply it to the recordings before they are cut."
        )
    # A view of the data with metadata of its own: the dataset is not changed.
    epochs = dataset.windows[:] if hasattr(dataset, "windows") else _cut(dataset, name)
    table = epochs.metadata
    new = {key: [value] * len(table) for key, value in labels.items() if key not in table}
    with mne.use_log_level("error"):  # it reports every new table
        epochs.metadata = table.assign(**new)
    return epochs


def _cut(dataset, name):
    """Cut the recording of an EEGWindowsDataset; its indices count from the first time point."""
    import mne

    raw, table = dataset.raw, dataset.metadata.reset_index(drop=True)
    starts, stops = (table[f"i_{end}_in_trial"].to_numpy(int) for end in ("start", "stop"))
    sizes = np.unique(stops - starts)
    if len(sizes) != 1:
        raise ValueError(f"{name} has windows of {sizes.tolist()} time points: cut equal ones.")
    events = np.column_stack([starts + raw.first_samp, 0 * starts, 0 * starts + 1])
    span = {"tmin": 0.0, "tmax": (sizes[0] - 1) / raw.info["sfreq"], "baseline": None}
    plain = {"reject_by_annotation": False, "proj": False, "metadata": table}
    return mne.Epochs(raw, events, {"window": 1}, **span, **plain, verbose="error")
