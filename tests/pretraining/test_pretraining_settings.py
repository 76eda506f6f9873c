"""Pretraining does not depend on what the caller has set in torch."""

from __future__ import annotations

import pytest
from fakes import pretrain_micro, what_is_saved
from torch_settings import ALL_SETTINGS, SETTINGS, current_settings


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What two steps save with torch as it is."""
    return what_is_saved(pretrain_micro(tmp_path_factory.mktemp("plain") / "run", total_steps=2))


@pytest.mark.parametrize("setting", ALL_SETTINGS)
def test_runs_do_not_depend_on_settings(setting, tmp_path, wanted):
    with SETTINGS[setting]():
        before = current_settings()
        last = pretrain_micro(tmp_path / "run", total_steps=2)
        assert current_settings() == before
    assert what_is_saved(last) == wanted
