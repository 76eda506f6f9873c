"""Times of short EEG: every form and size of a batch is measured, and bfloat16 is one of them."""

from __future__ import annotations

import torch

from benchmarks.short_eeg import FORMS, make_form, time_forms


def test_each_form_is_measured_once_per_round():
    called = []

    def form(name):
        return lambda n: lambda: called.append((name, n))

    table = time_forms({name: form(name) for name in ("one", "other")}, (1, 4), n_rounds=2)
    assert table["network"].tolist() == ["one", "other"]
    assert table.columns.tolist() == ["network", "batch of 1", "batch of 4"]
    assert table["batch of 4"].str.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)").all()
    assert called == 3 * [("one", 1), ("one", 4), ("other", 1), ("other", 4)]


def test_forms_embed_alike():
    rows = {}
    for name in ("tiny, 128 Hz", "tiny, 128 Hz, bf16"):
        call = make_form(*FORMS[name])(2)
        with torch.inference_mode():
            rows[name] = call()
    one, other = rows.values()
    assert one.shape == other.shape == (2, 128, 128) and not torch.equal(one, other)
    assert (one - other).abs().mean() < 0.05 * one.abs().mean()
