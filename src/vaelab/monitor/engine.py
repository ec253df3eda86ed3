"""Engine: the two threads behind a Monitor. One takes the rows and writes them, the other judges them.

Both are daemon threads. A diagnosis is left out while all of them together have taken more than their budget of the time
since the start, so the cost stays bounded however much is logged.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.dialects import canonical_config
from vaelab.errors import VaelabError
from vaelab.live.changes import Change
from vaelab.live.hysteresis import StableStatus
from vaelab.monitor.capture import Captured, number
from vaelab.monitor.notes import Notes, logger
from vaelab.monitor.observed import Observed
from vaelab.monitor.rows import Rows, usable_step

if TYPE_CHECKING:
    from vaelab.live.alerts import Alerts

CLOSING_SECONDS = 30.0
"""How long the end of the program waits for each thread, at most."""

FIRST_STEPS = 100
"""Steps before which only a value that is not finite is told: at the start of training a loop that logs every step looks like
many a fault, a latent that carries nothing yet among them."""

MOST_WAITING = 100_000
"""Rows that the loop may be ahead of the thread that writes them, on a disk that hangs; later ones are dropped and counted."""

Callback = Callable[[Change], object]


class Engine:
    """Rows, observed shapes, the last diagnosis and what is shown of it.

    budget: share of the time that diagnoses may take. interval: seconds between two of them at least. state: of a checkpoint.
    """

    def __init__(
        self,
        rows: Rows,
        callbacks: list[Callback],
        alerts: Alerts | None,
        budget: float,
        interval: float,
        notes: Notes,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.rows, self.callbacks, self.alerts = rows, callbacks, alerts
        self.budget, self.interval = min(max(budget, 1e-6), 1.0), interval
        self.notes, self.observed = notes, Observed()
        self.stable = StableStatus("monitor", str(rows.path or "Monitor"))
        self.diagnosis: Diagnosis | None = None
        self._shown: list[list[str | None]] = []  # kind and value of everything that is shown, for the state
        self._told: set[tuple[str, str | None]] = set()  # what was shown when the state was saved
        self._opened, self._state = False, state
        self._declared = canonical_config(rows.settings)
        self._waiting: deque[Captured] = deque()
        self._dropped = 0
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._news, self._stop = threading.Event(), threading.Event()
        self._taking, self._judging = threading.RLock(), threading.RLock()
        self._said: set[str] = set()
        self._judged = 0  # rows that the last diagnosis saw
        self._begun, self._ended, self._spent, self._cost = time.monotonic(), 0.0, 0.0, 0.0
        self._pid = os.getpid()
        self._threads = [
            threading.Thread(target=target, name=f"vaelab-{name}", daemon=True)
            for name, target in (("rows", self._take_rows), ("diagnosis", self._judge_rows))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def put(self, item: Captured) -> None:
        """Called in the training loop. None of the steps takes a lock that a thread may hold."""
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(item)
        self._wake.put(None)

    def close(self) -> None:
        """Take and judge what is left, within ``CLOSING_SECONDS`` for each thread. A forked child does nothing."""
        if os.getpid() != self._pid:
            return
        self._stop.set()
        self._wake.put(None)
        self._news.set()
        for thread in self._threads:
            thread.join(CLOSING_SECONDS)
        if not self._threads[0].is_alive():
            self.rows.close()

    # Rows ------------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take everything that was logged so far."""
        with self._taking:
            if not self._opened:
                self._open()
            rows = []
            tensors = False
            while self._waiting:
                item = self._waiting.popleft()
                tensors |= bool(item.tensors)
                try:
                    row = self._row(item)
                except Exception as error:
                    self.notes.failed("recording a row", error)
                    continue
                if row is not None:
                    rows.append(row)
            if self._dropped:
                self.notes.say(
                    f"{self._dropped:,} rows were dropped while {MOST_WAITING:,} waited to be written: is the disk slow? Log"
                    " less often."
                )
                self._dropped = 0
            try:
                if tensors:
                    self._declare_observed()
                self.rows.add(rows)
            except VaelabError as error:
                self.notes.say(str(error))
            except Exception as error:
                self.notes.failed("recording rows", error)

    def _open(self) -> None:
        """Here and not in the training loop: the file of a long run takes seconds to read."""
        self._opened = True
        try:
            self.rows.open()
            if self.rows.shared:
                self.notes.say(
                    f"{self.rows.path} is being written by another Monitor, or by a process that an earlier one started: rows of"
                    " two runs mix there. Give each run its own path."
                )
        except VaelabError as error:
            self.notes.say(str(error))
        if self._state is not None:
            self._load(self._state)

    def declare(self, settings: Mapping[str, Any]) -> None:
        """Settings that the user names; they win over what is observed."""
        with self._taking:
            self._declared |= canonical_config(settings)
            self.rows.declare(settings)

    def _row(self, item: Captured) -> tuple[int, float, dict[str, float]] | None:
        for tensor in item.tensors:
            if text := self.observed.add(tensor):
                self.notes.say(text)
        values = {}
        for name, value in item.numbers:
            converted = number(value)
            if converted is None:
                item.ignored[name] = f"a {type(value).__name__} is not a number"
            else:
                values[name] = converted
        for name, why in item.ignored.items():
            self.notes.say(f"'{name}' is not recorded: {why}.")
        if item.step is None or not values:
            return None
        if not usable_step(item.step):
            self.notes.say(f"step {item.step} is not recorded: steps are whole numbers from 0 on.")
            return None
        return item.step, item.time, values

    def _declare_observed(self) -> None:
        found = self.observed.settings()
        for key in ("latent_shape", "input_channels"):
            declared, seen = self._declared.get(key), found.get(key)
            if declared is not None and seen is not None and declared != seen:
                self.notes.say(
                    f"{key} is declared as {declared}, but the tensors have {seen}. The declared one is used."
                )
        self.rows.declare({key: value for key, value in found.items() if key not in self._declared})

    def _take_rows(self) -> None:
        while not self._stop.is_set():
            self._wake.get()
            while not self._wake.empty():
                self._wake.get()
            self.drain()
            self._news.set()
        self.drain()

    # Diagnosis -------------------------------------------------------------------------------------------------------

    def judge(self, final: bool = False) -> None:
        """Diagnose all that was logged so far and tell what has changed. final: show it as it is, wait for no more rows."""
        with self._judging:
            begun = time.thread_time()  # what is taken from the loop, not what other programs take
            try:
                with self._taking:
                    self.drain()
                    run, count = self.rows.run(), len(self.rows)
                if run is None or (count == self._judged and not final):
                    return
                if count != self._judged or self.diagnosis is None:
                    self._judged, self.diagnosis = count, diagnose(run)
                if self.stable.step is None and not final and too_early(self.diagnosis):
                    return
                changes = self.stable.update(int(run.steps[-1]), self.diagnosis, final)
                self._shown = shown_by(self.stable)
            except Exception as error:
                self.notes.failed("a diagnosis", error)
                return
            finally:
                self._ended = time.monotonic()
                self._cost = time.thread_time() - begun
                self._spent += self._cost
            news = [change for change in changes if (change.kind, change.new) not in self._told]
            self._told.clear()
            for change in news:
                self._tell(change)
            self._alert(news)

    def _alert(self, changes: list[Change]) -> None:
        if self.alerts is not None:
            self._try("sending alerts", self.alerts, changes)

    def _try(self, what: str, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self.notes.failed(what, error)

    def _tell(self, change: Change) -> None:
        if change.kind == "status":
            logger.log(logging.WARNING if change.new in ("act", "stop") else logging.INFO, "vaelab: %s", change.text)
        for callback in tuple(self.callbacks):
            self._try(f"the callback {getattr(callback, '__name__', callback)}", callback, change)

    def _judge_rows(self) -> None:
        while not self._stop.is_set():
            self._news.wait()
            self._news.clear()
            self._alert([])  # what was kept back may be due
            if not self._stop.wait(self._delay()):
                self.judge()
        self._threads[0].join(CLOSING_SECONDS)
        self.judge(final=True)
        if self.stable.step is not None:
            self._tell_the_end(self.stable.step)
        if self.alerts is not None:
            self._try("sending alerts", self.alerts.close)

    def _tell_the_end(self, step: int) -> None:
        text = f"the program has ended at step {step:,}: {self.stable.status}"
        change = Change(self.stable.run_id, step, "finished", None, self.stable.status, text, self.stable.source)
        self._tell(change)
        self._alert([change])

    def _delay(self) -> float:
        """Seconds until the next diagnosis fits into the budget."""
        if not self._ended:
            return 0.0
        afforded = self._begun + (self._spent + self._cost) / self.budget
        return max(0.0, self._ended + self.interval - time.monotonic(), afforded - time.monotonic())

    # State -----------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain values; without the rows where a file holds them."""
        with self._taking:
            self.drain()
            return {"rows": self.rows.state_dict(), "observed": self.observed.state_dict(), "shown": self._shown}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with self._judging, self._taking:
            self.drain()
            self._load(state)

    def _load(self, state: Mapping[str, Any]) -> None:
        try:
            if state["rows"] is not None:
                self.rows.load_state_dict(state["rows"])
            elif not len(self.rows):
                self.notes.say(
                    "the rows before the checkpoint are not here: give Monitor the same path, with its file in it."
                )
            self.observed.load_state_dict(state["observed"])
            self._shown = list(state["shown"])
            self._told = {(str(kind), new) for kind, new in self._shown}
            self._judged = 0
            self._declare_observed()
        except Exception as error:
            self.notes.failed("loading the state of a checkpoint", error)


def too_early(diagnosis: Diagnosis) -> bool:
    """Whether the first judgement, which is shown without a second one, should wait for more rows."""
    if diagnosis.status == "cannot-tell":
        return True
    steps = diagnosis.run.steps
    not_finite = any(f.code.startswith("NUM") and f.severity == "critical" for f in diagnosis.findings)
    return int(steps[-1] - steps[0]) < FIRST_STEPS and not not_finite


def shown_by(stable: StableStatus) -> list[list[str | None]]:
    """Kind and value, as in a Change, of the status, the cause and the findings that are shown."""
    active = (seen.finding for seen in stable.findings if seen.active)
    findings: list[list[str | None]] = [["finding", f"{finding.code} {finding.severity}"] for finding in active]
    return [["status", stable.status], ["cause", stable.cause], *findings]
