"""Simulate whole-head MEG, and EEG with another cap in test people."""

from __future__ import annotations

import numpy as np

from brainof_toolbox import from_epochs
from brainof_toolbox.datasets import make_study

from .people import split_people
from .sets import Set, Task


def read_simulated_meg(root, part):
    """Simulate left against right hand, 51 channels; people are left out."""
    X = make_study(6, kind="meg", effect_size=0.4, n_epochs=20, n_channels=51, random_state=0)
    y = np.where(X.events[:, 2] == X.event_id["left"], "left", "right")
    people = X.metadata["subject"].to_numpy(str)
    return Task(X, y, people, split_people("simulated", y, people, 6, part))


def read_simulated_caps(root, part):
    """Simulate left against right hand; test people have other electrodes."""
    train = make_study(6, effect_size=0.4, n_epochs=24, n_channels=19, random_state=1)
    test = make_study(4, effect_size=0.4, n_epochs=24, n_channels=64, random_state=2)
    test = test.pick(test.ch_names[19:])
    X, y, people = [], [], []
    for name, study in (("train", train), ("test", test)):
        signals = from_epochs(study)
        X += [signals[i] for i in range(len(study))]
        y += list(np.where(study.events[:, 2] == study.event_id["left"], "left", "right"))
        people += [f"{name}-{who}" for who in study.metadata["subject"]]
    people = np.array(people)
    is_test = np.char.startswith(people, "test")
    splits = [(np.flatnonzero(~is_test), np.flatnonzero(is_test))]
    return Task(X, np.array(y), people, splits)


SETS = {
    "simulated-meg": Set(
        read_simulated_meg,
        None,
        "simulated, left against right hand; people left out",
        "sensors",
        2,
        "person",
        "simulated",
        is_claimed=False,
    ),
    "simulated-caps": Set(
        read_simulated_caps,
        None,
        "simulated, left against right hand; people with another cap left out",
        "mixed",
        2,
        "person",
        "simulated",
        is_claimed=False,
    ),
}
