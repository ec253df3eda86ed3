"""Reading logs for a command: the output format and the log's dialect told apart, and a progress bar when it is slow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.run import Run

SHOW_AFTER_SECONDS = 1.0


def output_and_dialect(
    given: Sequence[str], outputs: Sequence[str], dialect: str | None = None
) -> tuple[str, str | None]:
    """The output format (the first of ``outputs`` if none is given) and the forced log dialect among ``--format``s.

    Raises ConfigError if two output formats or two dialects are given.
    """
    chosen = list(dict.fromkeys(value for value in given if value.lower() in outputs))
    dialects = list(
        dict.fromkeys([*(value for value in given if value.lower() not in outputs), *filter(None, [dialect])])
    )
    if len(chosen) > 1:
        raise ConfigError(f"--format was given two outputs, {' and '.join(chosen)}: choose one.")
    if len(dialects) > 1:
        raise ConfigError(f"The log was given two dialects, {' and '.join(dialects)}: choose one.")
    return (chosen[0].lower() if chosen else outputs[0]), (dialects[0] if dialects else None)


def read_runs(paths: Sequence[str], dialect: str | None = None, config: dict[str, Any] | None = None) -> list[Run]:
    """All runs in ``paths``. Raises LogError or ConfigError with one sentence."""
    from vaelab.readers import read_all

    with ReadingProgress() as progress:
        return read_all(list(paths), format=dialect, config=config or None, progress=progress.callback, spread=True)


class ReadingProgress:
    """A progress bar on standard error, shown only on a terminal and only if reading takes longer than a second."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def callback(self) -> Callable[[int, int | None], None] | None:
        """To be called with the bytes read so far and the bytes in all (None if unknown); None off a terminal."""
        return self._update if sys.stderr.isatty() else None

    def _update(self, done: int, total: int | None) -> None:
        if self._bar is None:
            if time.monotonic() - self._started < SHOW_AFTER_SECONDS:
                return
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("reading", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
