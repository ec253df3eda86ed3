"""Single keys from the terminal while the screen is watched."""

from __future__ import annotations

import os
import select
import sys
import time
from types import TracebackType
from typing import Any

NEXT, PREVIOUS, LEAVE = ("n", "\x1b[B", "\x1b[C"), ("p", "\x1b[A", "\x1b[D"), ("q", "Q")


class Keys:
    """Reads keys without Enter between ``__enter__`` and ``__exit__``; where the input is no terminal, or the system has no termios,
    it only waits."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    @property
    def on(self) -> bool:
        """Whether keys are read."""
        return self._before is not None

    def read(self, seconds: float) -> str:
        """The keys that were pressed within ``seconds``, at once when there is one; empty if none was."""
        if not self.on:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], max(seconds, 0.0))
        # an arrow is three characters, which come together
        return os.read(sys.stdin.fileno(), 16).decode(errors="replace") if ready else ""

    def __enter__(self) -> Keys:
        try:
            import termios
            import tty

            if sys.stdin.isatty():
                before = termios.tcgetattr(sys.stdin)
                tty.setcbreak(sys.stdin)  # Ctrl-C stays Ctrl-C
                self._before = before
        except (ImportError, OSError, ValueError):  # no such module; no terminal
            pass
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
            self._before = None
