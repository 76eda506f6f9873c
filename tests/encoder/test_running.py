"""Threads that embed batches: order, what they share, and what they leave as it was."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import pytest
import torch

from brainof_toolbox.encoder.running import count_threads, map_in_order


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_in_order(n_threads):
    """Items are drawn by this thread, at most two more than there are threads ahead."""
    drawn = []

    def items():
        for number in range(20):
            assert threading.current_thread() is threading.main_thread()
            drawn.append(number)
            yield number

    def square(number):
        time.sleep(0.003 * (number % 3 == 0))
        return number**2

    for i, (number, result) in enumerate(map_in_order(square, items(), n_threads)):
        assert (number, result) == (i, i**2)
        assert len(drawn) <= i + 1 + n_threads * (n_threads > 1)
    assert i == 19


def test_share_of_the_threads_of_torch():
    """Workers share them out; here, and in threads that come later, nothing changes."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for n_threads, share in ((2, 2), (3, 1), (8, 1)):
            found = map_in_order(lambda _: torch.get_num_threads(), range(9), n_threads)
            assert {result for _, result in found} == {share}
            with ThreadPoolExecutor(1) as later:
                assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_error_stops_all(n_threads):
    n_alive, done = threading.active_count(), []

    def refuse(number):
        done.append(number)
        if number == 2:
            raise ValueError("number 2")

    with pytest.raises(ValueError, match="number 2"):
        list(map_in_order(refuse, range(1000), n_threads))
    assert len(done) < 12 and threading.active_count() == n_alive
    results = map_in_order(lambda number: number, range(1000), n_threads)
    next(results)
    results.close()
    assert threading.active_count() == n_alive


def test_number_of_threads(monkeypatch):
    """As many as there are cores at most; workers of workers are not multiplied."""
    monkeypatch.setattr("brainof_toolbox.encoder.running.cpu_count", lambda: 4)
    assert [count_threads(n) for n in (None, 1, 3, 100)] == [1, 1, 3, 4]
    with joblib.parallel_config("threading", n_jobs=2):
        assert count_threads(None) == 2
        inner = joblib.Parallel()(joblib.delayed(count_threads)(None) for _ in range(2))
    assert inner == [1, 1]
