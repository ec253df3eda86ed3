"""The loop of ``vaelab watch``: poll, alert, show, and end when there is a reason to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from vaelab.diagnosis import Status
from vaelab.live.changes import Change
from vaelab.live.hysteresis import STATUS_ORDER
from vaelab.live.watched import WatchedRun
from vaelab.live.watcher import Watcher

if TYPE_CHECKING:
    from vaelab.live.alerts import Alerts

FINISHED, REACHED, NO_ROWS = 0, 1, 3
"""What the loop ends with: every run has finished, or somebody left; a verdict is as grave as asked for; no new row for too long."""


class View(Protocol):
    """Where the runs are shown. It is entered before the first look and left at the end."""

    def reading(self, path: str) -> None:
        """A log, or the folder of a run, is about to be read."""

    def show(self, runs: Sequence[WatchedRun], changes: Sequence[Change]) -> None:
        """The runs as they are after a poll, and what that poll has changed."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


def follow(
    watcher: Watcher,
    view: View,
    alerts: Alerts | None = None,
    *,
    until: Status | None = None,
    idle_seconds: float | None = None,
    interval: float = 2.0,
    once: bool = False,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Watch until there is a reason to end; returns FINISHED, REACHED or NO_ROWS.

    until: end with REACHED when a run's confirmed status is at least this grave. idle_seconds: end with NO_ROWS when no run has
    got a new row for so long. interval: seconds between polls. once: one poll only; its status counts though nothing could
    confirm it, and NO_ROWS says that no log holds a row. pause: waits so many seconds; True says that somebody leaves the watch.
    """
    with view:
        watcher.on_read = view.reading
        rows: dict[str, tuple[int | None, int]] = {}
        last_news = clock()
        while True:
            changes = watcher.poll()
            if alerts is not None:
                alerts(changes)
            runs = list(watcher.runs.values())
            view.show(runs, changes)
            now = {run.id: (run.step, len(run.run) if run.run is not None else 0) for run in runs}
            if now != rows:
                rows, last_news = now, clock()
            if until is not None and any(_reached(run, until, once) for run in runs):
                return REACHED
            if once:
                return FINISHED if any(run.step is not None for run in runs) else NO_ROWS
            if watcher.all_finished:
                return FINISHED
            if idle_seconds is not None and clock() - last_news >= idle_seconds:
                return NO_ROWS
            if pause(interval) is True:
                return FINISHED


def _reached(run: WatchedRun, until: Status, once: bool) -> bool:
    return STATUS_ORDER[run.status] >= STATUS_ORDER[until] and (run.stable.confirmed or once)
