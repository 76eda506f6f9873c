"""Rows from forked processes, as lines of JSON; a process of its own, for a hang must end.

``python forking.py CHECKPOINT FOLDER BACKEND NAME ...``: embeds samples of each kind alone and
under a backend of joblib, and prints how far the rows are apart. Names that are no kind of samples
are whole fits, or processes that were forked in other ways.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import warnings
from functools import partial

import joblib
import mne
import numpy as np
import torch
from simulated import adapted, atlas, bold, noise_epochs, raw
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

from brainof_toolbox import BrainOFClassifier, BrainOFEmbedder, Records, from_epochs


def samples(folder, kind):
    """A list of samples, or samples that are no list, in each of the accepted forms."""
    paths = [folder + f"/sub-{i}_raw.fif" for i in range(3)]
    for i, path in enumerate(paths):
        if not os.path.exists(path):
            raw(i).save(path, verbose="error")
    return {
        "paths": lambda: paths,
        "records": lambda: Records({"eeg": path, "subject": path[-9]} for path in paths),
        "on disk": lambda: [mne.io.read_raw_fif(path, verbose="error") for path in paths],
        "in memory": lambda: [raw(0), raw(1, sfreq=100.0)],
        "epochs": lambda: noise_epochs(6),
        "lists of epochs": lambda: [noise_epochs(20, seed=i) for i in range(3)],
        "signals": lambda: [from_epochs(noise_epochs(20, seed=i)) for i in range(3)],
        "one signals": lambda: from_epochs(noise_epochs(5)),
        "arrays": lambda: noise_epochs(6).get_data(),
        "images": lambda: [bold(0), bold(1)],
    }[kind]()


def rows_of(checkpoint, X):
    """Rows of a new estimator."""
    info = noise_epochs(1).info if isinstance(X, np.ndarray) else None
    return BrainOFEmbedder(checkpoint, info=info, masker=atlas(), pooling="mean").fit_transform(X)


def spread(checkpoint, X, backend):
    """How far rows under a backend are from those of one process."""
    alone = rows_of(checkpoint, X)
    with joblib.parallel_config(backend, n_jobs=2):
        return np.abs(rows_of(checkpoint, X) - alone).max()


def pool(checkpoint, backend):
    """The same for a pool of the standard library."""
    X = noise_epochs(6)
    alone = rows_of(checkpoint, X)
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return np.abs(workers.starmap(rows_of, [(checkpoint, X)] * 2) - alone).max()


def fork(checkpoint, backend):
    """The same for a bare fork: 0, or the status of the child."""
    X = noise_epochs(6)
    alone = rows_of(checkpoint, X)
    child = os.fork()
    if not child:
        os._exit(int(np.abs(rows_of(checkpoint, X) - alone).max() > 1e-5))
    return os.waitpid(child, 0)[1]


def fits(checkpoint, backend, adaptation):
    """How far predictions of folds in workers are from those of folds here."""
    # MNE's epochs cannot be indexed by several threads at once.
    X, y = from_epochs(noise_epochs(16)), np.arange(16) % 2
    options = {"cv": KFold(2), "method": "predict_proba"}
    decoder = adapted(
        BrainOFClassifier, checkpoint, adaptation, pooling="mean", max_epochs=1, refit=False
    )
    here = cross_val_predict(decoder, X, y, **options)
    with joblib.parallel_config(backend, n_jobs=2):
        return np.abs(cross_val_predict(decoder, X, y, **options) - here).max()


def grid_search(checkpoint, backend):
    """How far scores of candidates in workers are from those here."""
    # MNE's epochs cannot be indexed by several threads at once.
    X, y = from_epochs(noise_epochs(16)), np.arange(16) % 2
    search = GridSearchCV(BrainOFClassifier(checkpoint), {"pooling": ["mean", "mean+std"]}, cv=2)
    here = search.fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend, n_jobs=2):
        return np.abs(search.fit(X, y).cv_results_["mean_test_score"] - here).max()


OTHERS = {
    "pool": pool,
    "fork": fork,
    "probe": partial(fits, adaptation="probe"),
    "lora": partial(fits, adaptation="lora"),
    "grid search": grid_search,
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(max(2, torch.get_num_threads()))  # with one there is nothing to wait for
    big = torch.ones(2**21)
    float((big * big).sum())  # starts the threads
    checkpoint, folder, backend, *names = sys.argv[1:]
    for name in names:
        if name in OTHERS:
            difference = OTHERS[name](checkpoint, backend)
        else:
            difference = spread(checkpoint, samples(folder, name), backend)
        print(json.dumps([name, float(difference)]), flush=True)
