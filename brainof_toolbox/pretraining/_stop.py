"""Requests to stop: Ctrl-C and SIGTERM take effect when the step is done and saved."""

from __future__ import annotations

import signal
import threading


class StopRequest:
    """Context manager that records SIGINT and SIGTERM instead of raising immediately.

    A second Ctrl-C raises immediately. Signals reach the main thread of a process only: elsewhere
    nothing is installed. Former handlers come back at the end.
    """

    def __init__(self):
        self.number, self._former = None, {}

    def __enter__(self):
        """Take over the two signals."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._take_down)
        return self

    def __exit__(self, kind, error, traceback):
        """Give the two signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _take_down(self, number, frame):
        if number == signal.SIGINT and self.number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number

    def leave(self):
        """Exit as the signal would have: by KeyboardInterrupt, or SystemExit with code 143."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)
