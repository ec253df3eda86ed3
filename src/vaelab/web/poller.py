"""One thread that polls the watcher and lays the state out, for all pages together."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaelab.live import Change, WatchedRun, Watcher
from vaelab.web.feed import Feed
from vaelab.web.run_files import RunFiles, folder_of, run_files, signature
from vaelab.web.views import RunView, short_names, view_of

JITTER = 2.0
"""Seconds by which the time of the newest row may differ between two polls without being another one."""


class Poller:
    """Polls ``watcher`` every ``interval`` seconds and publishes what is new.

    views: the runs by id as they were at the last poll; replaced as a whole, never changed. on_changes: called with what
    the watcher reports, in the poller's thread, for alerts.
    """

    def __init__(
        self, watcher: Watcher, interval: float = 1.0, on_changes: Callable[[Sequence[Change]], None] | None = None
    ) -> None:
        self.watcher, self.interval, self.on_changes = watcher, interval, on_changes
        self.feed = Feed()
        self.views: dict[str, RunView] = {}
        self._boot = secrets.token_hex(4)
        self._count = 0
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._files: dict[str, tuple[tuple[int, ...], RunFiles]] = {}
        self._published: tuple[Any, Mapping[str, RunView]] = (None, {})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vaelab-poller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for a poll that is going on for a moment only."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            problem = None
            try:
                changes = self.watcher.poll()
                if changes and self.on_changes is not None:
                    self.on_changes(changes)
                self._look()
            except Exception as error:  # the page must stay up, and say so
                problem = f"vaelab cannot go on watching ({type(error).__name__}: {error}). Please report it."
                if not told:
                    print(f"vaelab: {problem}", file=sys.stderr)
                told = True
            self._publish(problem)
            self._stop.wait(self.interval)

    def _look(self) -> None:
        """New views of the runs that have changed."""
        runs = list(self.watcher.runs.values())
        names = short_names([watched.source for watched in runs])
        self.views = {watched.id: self._view(watched, name) for watched, name in zip(runs, names, strict=True)}
        for known in (self._seen, self._files):
            for gone in known.keys() - self.views.keys():
                del known[gone]

    def _view(self, watched: WatchedRun, name: str) -> RunView:
        old = self.views.get(watched.id)
        files = self._files_of(watched)
        row_at = round(time.time() - watched.stale)
        if old is not None and abs(old.row_at - row_at) <= JITTER:
            row_at = round(old.row_at)
        state = (
            watched.diagnosis, watched.status, watched.headline, watched.problem, watched.finished, watched.stalled,
            len(watched.history), watched.history[-1:], row_at, name, files,
        )  # fmt: skip
        if old is not None and self._seen.get(watched.id) == state:
            return old
        self._seen[watched.id] = state
        self._count += 1
        return view_of(watched, f"{self._boot}-{self._count}", name, row_at, files)

    def _files_of(self, watched: WatchedRun) -> RunFiles:
        folder = folder_of(watched.run)
        if folder is None:
            return RunFiles()
        now = signature(folder)
        known = self._files.get(watched.id)
        if known is None or known[0] != now:
            known = self._files[watched.id] = (now, run_files(folder))
        return known[1]

    def _publish(self, problem: str | None) -> None:
        """The whole state for new pages, and for the others the runs that are new or changed and the ids of those that are gone."""
        state = {"boot": self._boot, "paths": list(map(str, self.watcher.paths)), "problem": problem}
        before, known = self._published
        views = self.views
        changed = [view for i, view in views.items() if known.get(i) is not view]
        gone = [i for i in known if i not in views]
        if state == before and not changed and not gone:
            return
        self._published = (state, views)
        now = {**state, "now": round(time.time(), 1)}  # pages reckon ages with the server's clock
        texts = (
            # in ASCII: a file name need not be valid Unicode
            json.dumps({**now, "runs": [view.summary for view in shown], **more}, allow_nan=False)
            for shown, more in ((views.values(), {}), (changed, {"gone": gone}))
        )
        self.feed.publish(*texts)
