"""Where windows are embedded: the device, and threads of this process that share the network."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import torch
from joblib import cpu_count, effective_n_jobs

from .._utils.validation import check_option

__all__ = ["check_device", "count_threads", "map_in_order"]


def check_device(device):
    """Resolve the name of a device."""
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["auto", "cpu", *(["cuda"] if n_cuda else []), *(f"cuda:{i}" for i in range(n_cuda))]
    if torch.backends.mps.is_available():
        known.append("mps")
    check_option("device", str(device) if isinstance(device, torch.device) else device, known)
    if device == "auto":
        return torch.device("cuda" if n_cuda else "mps" if "mps" in known else "cpu")
    return torch.device(device)


def count_threads(n_jobs):
    """Return how many threads ``n_jobs`` workers are in this process: a core each at most."""
    return max(1, min(effective_n_jobs(n_jobs), cpu_count()))


def map_in_order(function, items, n_threads):
    """Yield each item with the function's result, in order; items are drawn by the caller."""
    if n_threads == 1:
        yield from ((item, function(item)) for item in items)
        return
    # One product on several cores leaves them idle between its parts: each thread computes whole
    # batches with its share of torch's threads. Torch keeps that number for each thread, and the
    # latest one for threads that start later: it is set back.
    n_before = torch.get_num_threads()
    share = max(1, n_before // n_threads)
    pool = ThreadPoolExecutor(n_threads, "embedding", torch.set_num_threads, (share,))
    pending = deque()
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) > n_threads:  # a batch in each thread, and one in advance
                first, result = pending.popleft()
                yield first, result.result()
        for item, result in pending:
            yield item, result.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)
