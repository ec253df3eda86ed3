"""What a command of minutes is doing: a bar on a terminal, a line now and then elsewhere, both on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FIRST_LINE, BETWEEN_LINES = 1.0, 5.0
"""Seconds, off a terminal: from the start to the first line, and from line to line."""

Report = Callable[[str, int, int], None]
"""Called with the part of the work, what is done of it, and the whole; 0 where the whole is not known."""


@contextmanager
def progress(command: str, first: str, kept: str) -> Iterator[Report]:
    """Show what ``command`` is doing, from now on: ``first``, then what is reported. Ctrl-C inside goes on to the caller with a
    sentence: the part that was reached, and ``kept``, what is kept and how to go on."""
    now = _Now(command, first)
    try:
        with _bar(now) if sys.stderr.isatty() else _lines(now):
            yield now.report
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Interrupted while {now.place()}. {kept}") from None


@dataclass
class _Now:
    """The part of the work that is going on. begun: when, in seconds of a clock."""

    command: str
    part: str
    done: int = 0
    whole: int = 0
    begun: float = field(default_factory=time.monotonic)
    changed: Callable[[], None] = lambda: None

    def report(self, part: str, done: int, whole: int) -> None:
        if part != self.part:
            self.part, self.begun = part, time.monotonic()
        self.done, self.whole = min(done, whole), whole
        self.changed()

    def place(self) -> str:
        """``encoding (3 of 16)``"""
        return f"{self.part} ({self.done} of {self.whole})" if self.whole else self.part

    def line(self) -> str:
        seconds = time.monotonic() - self.begun
        left = f", about {seconds / self.done * (self.whole - self.done):.0f} s left" if self.done else ""
        return f"vaelab {self.command}: {self.place()}, {seconds:.0f} s{left}"


@contextmanager
def _lines(now: _Now) -> Iterator[None]:
    """A thread writes, since the work itself may be silent for long. Nothing is written of work that is over in a second."""
    over = threading.Event()

    def write() -> None:
        pause = FIRST_LINE
        while not over.wait(pause):
            print(now.line(), file=sys.stderr, flush=True)
            pause = BETWEEN_LINES

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _bar(now: _Now) -> Iterator[None]:
    """One line for each part; a bar that only moves to and fro where the whole is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show() -> None:
            if now.part not in tasks:
                for task in tasks.values():  # what came before is over
                    bar.update(task, visible=False)
                tasks[now.part] = bar.add_task(now.part, total=None, count="")
            whole = now.whole or None
            count = f"{now.done}/{now.whole}" if whole else ""
            bar.update(tasks[now.part], completed=now.done, total=whole, count=count)

        now.changed = show
        show()
        yield
