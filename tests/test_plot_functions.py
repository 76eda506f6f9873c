"""Every exported plot function returns a matplotlib Figure, and its documentation states it."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

ROOMS = ("estimators", "evaluation", "inspection", "pretraining", "datasets", "features", "models")


def plot_functions():
    """Exported functions, and methods of exported classes, named ``plot`` or ``plot_...``."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"brainof_toolbox.{room}")
        for thing in (getattr(module, name) for name in module.__all__):
            owned = inspect.getmembers(thing) if inspect.isclass(thing) else []
            for one in (thing, *(value for _, value in owned)):
                if inspect.isfunction(one) and re.match(r"plot(_|$)", one.__name__):
                    found[f"{one.__module__}.{one.__qualname__}"] = one
    return found


FUNCTIONS = plot_functions()


def test_there_are_many():
    assert len(FUNCTIONS) >= 15


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_plot_functions_return_figures(name):
    text = inspect.getdoc(FUNCTIONS[name])
    returned = text.partition("Returns\n-------\n")[2].split("\n")[0]
    assert returned == "figure : matplotlib.figure.Figure"
    assert "axes" in inspect.signature(FUNCTIONS[name]).parameters
