"""Alerts: tell someone when a run needs a hand and when it no longer does; rate-limited, and never in the way.

alerts = Alerts([my_function, ShellCommand("./cancel.sh"), Webhook(url), Email("me@example.org")])
alerts(watcher.poll())      # or the changes that vaelab.Monitor gives
alerts.close()
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vaelab.diagnosis import Status
from vaelab.live.changes import Change, clean
from vaelab.live.hysteresis import STATUS_ORDER
from vaelab.live.sinks import MOST_TEXT, Alert, AlertError, Email, ShellCommand, Sink, Webhook

__all__ = ["Alert", "AlertError", "Alerts", "Email", "ShellCommand", "Sink", "Webhook"]

MIN_SECONDS = 300.0
"""Least time between two alerts of one run; the first ``stop`` does not wait."""

CLOSE_SECONDS = 20.0
LOOK_SECONDS = 1.0  # between looks at what was kept back
MOST_LINES = 6  # changes told in one alert
MOST_WAITING = 1000  # alerts that no sink has taken yet


class Alerts:
    """Turns changes into alerts and hands them to ``sinks`` in a thread of its own.

    An alarm is sent when the status rises to ``at_least`` or above, when a critical finding comes to a run in that state, and
    when a log that was read before cannot be read any more or gets no new rows. A recovery is sent after an alarm when its
    reason is gone. finished: also say when a run ends. Between two messages of one run lie ``min_seconds`` or more, but the
    first ``stop`` is sent at once; what was kept back is summed up in the next message, which says how many were left out.
    report: called with one sentence the first time that a sink fails. clock: seconds that only go forward.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        min_seconds: float = MIN_SECONDS,
        *,
        at_least: Status = "act",
        finished: bool = True,
        report: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sinks, self.min_seconds, self.at_least, self.finished = list(sinks), min_seconds, at_least, finished
        self.problems: list[str] = []
        self.last: Alert | None = None
        self._report, self._clock = report, clock
        self._runs: dict[str, _Pending] = {}
        self._queue: queue.Queue[Alert | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._failed: set[int] = set()

    def __call__(self, changes: Iterable[Change] = ()) -> list[Alert]:
        """Take new changes in their order and return the alerts that are sent now. Never raises, never waits for a sink."""
        with self._lock:
            return self._take(changes)

    def _take(self, changes: Iterable[Change]) -> list[Alert]:
        news: dict[str, list[Change]] = {}
        for change in changes:
            pending = self._runs.setdefault(change.run_id, _Pending())
            if pending.take(change, STATUS_ORDER[self.at_least], self.finished):
                news.setdefault(change.run_id, []).append(change)
        for run_id, batch in news.items():
            self._runs[run_id].waiting.append(batch)
        sent = []
        for pending in self._runs.values():
            alert = pending.next_alert(self._clock(), self.min_seconds)
            if alert is not None:
                sent.append(alert)
                self._hand_out(alert)
        return sent

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what was kept back and wait for the sinks, for ``seconds`` at most."""
        with self._lock:
            for pending in self._runs.values():
                alert = pending.next_alert(float("inf"), 0.0)
                if alert is not None:
                    self._hand_out(alert)
        if self._thread is not None:
            begun = time.monotonic()
            with contextlib.suppress(queue.Full):  # a sink hangs: the thread ends with the program
                self._queue.put(None, timeout=seconds)
                self._thread.join(max(0.0, seconds - (time.monotonic() - begun)))
            self._thread = None

    def _hand_out(self, alert: Alert) -> None:
        self.last = alert
        if self._thread is None and self.sinks:
            # a daemon: a sink that hangs must not keep the program from ending
            self._thread = threading.Thread(target=self._deliver, name="vaelab alerts", daemon=True)
            self._thread.start()
        try:
            if self.sinks:
                self._queue.put_nowait(alert)
        except queue.Full:
            self._fail(-1, f"{MOST_WAITING} alerts wait for a sink that does not take them: later ones are lost.")

    def _deliver(self) -> None:
        while True:
            try:
                alert = self._queue.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self(())  # what was kept back may be due
                continue
            if alert is None:
                return
            for number, sink in enumerate(self.sinks):
                try:
                    sink(alert)
                except AlertError as error:
                    self._fail(number, str(error))
                except Exception as error:
                    name = getattr(sink, "__name__", str(sink))
                    self._fail(number, f"the alert to {name} failed ({type(error).__name__}: {error}).")

    def _fail(self, number: int, problem: str) -> None:
        """Report the first failure of each sink."""
        if number in self._failed:
            return
        self._failed.add(number)
        self.problems.append(clean(problem))
        if self._report is not None:
            self._report(self.problems[-1])


@dataclass
class _Pending:
    """What is known of one run, what was sent of it, and what waits. Lists in ``waiting`` came together."""

    source: str = ""
    step: int | None = None
    status: Status = "cannot-tell"
    bad: bool = False
    broken: set[str] = field(default_factory=set)  # ``problem``, ``stalled``
    waiting: list[list[Change]] = field(default_factory=list)
    sent_at: float = float("-inf")
    sent_status: str = ""
    alarmed: bool = False

    def take(self, change: Change, at_least: int, finished: bool) -> bool:
        """Note ``change``; True if it is worth a message."""
        self.source, self.step = change.source, change.step
        if change.kind == "status":
            self.status = change.new  # type: ignore[assignment]
            before, self.bad = self.bad, STATUS_ORDER[self.status] >= at_least
            return self.bad or before
        if change.kind == "finding":
            return self.bad and change.new is not None and change.new.endswith("critical")
        if change.kind in ("problem", "stalled"):
            if change.step is not None:
                self.broken.add(change.kind)
            return change.step is not None
        if change.kind == "recovered":
            before_broken, self.broken = self.broken, set()
            return bool(before_broken)
        if change.kind == "restarted":
            self.bad, self.waiting = False, []
        return change.kind == "finished" and finished

    def next_alert(self, now: float, min_seconds: float) -> Alert | None:
        """The message that is due, or None."""
        if not self.waiting:
            return None
        urgent = self.status == "stop" and self.sent_status != "stop"
        if now - self.sent_at < min_seconds and not urgent:
            return None
        batches, self.waiting = self.waiting, []
        ended = any(change.kind == "finished" for batch in batches for change in batch)
        alarm = self.bad or bool(self.broken)
        if not alarm and not self.alarmed and not ended:
            return None  # it came and went while it waited
        kind = "finished" if ended else "alarm" if alarm else "recovery"
        changes = [change for batch in batches for change in batch]
        left_out = len(batches) - 1
        self.sent_at, self.sent_status, self.alarmed = now, self.status, alarm
        lines = [change.text for change in batches[-1]][:MOST_LINES]
        if left_out:
            lines.append(f"({left_out} alert{'s' if left_out > 1 else ''} of this run before this one were left out)")
        text = "\n".join(lines)[:MOST_TEXT]
        run_id = changes[-1].run_id
        return Alert(run_id, clean(self.source), kind, self.status, self.step, text, left_out, tuple(changes))
