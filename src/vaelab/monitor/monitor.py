"""Monitor: three lines in anyone's training loop, and the loop knows whether it is healthy.

The loop only appends to a buffer. Two daemon threads write the rows and diagnose them (``vaelab.monitor.engine``).
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vaelab.diagnosis import Diagnosis, Status
from vaelab.errors import ConfigError
from vaelab.live.changes import Change
from vaelab.monitor.capture import Captured
from vaelab.monitor.engine import Callback, Engine
from vaelab.monitor.notes import Notes
from vaelab.monitor.processes import is_main_process
from vaelab.monitor.rows import Rows, file_of
from vaelab.monitor.settings import plain_settings

if TYPE_CHECKING:
    from vaelab.live.alerts import Alerts

FIRST_SAMPLES = 20
"""Of so many tensors some values are copied, to see their range; after that of one in ``SAMPLE_SECONDS``."""

SAMPLE_SECONDS = 10.0
STATE_VERSION = 1

_BEGINNING = threading.Lock()
C = TypeVar("C", bound=Callable[[Change], object])


class Monitor:
    """Watches a training loop from inside.

        monitor = Monitor({"kl_weight": 1e-6, "disc_start": 50001}, path="runs/first")
        for step, batch in enumerate(batches):
            ...
            monitor.log(step, {"rec_loss": rec, "kl_loss": kl, "d_weight": d_weight})
            if monitor.status == "stop":
                break

    config: settings of the run, by any trainer's names: a mapping (nested too), an argparse namespace, a dataclass, a pydantic
    model, or the path of a YAML file. Only settings that vaelab knows are kept.
    path: a folder, or a file that ends in ``.jsonl``: every row is written there at once, as ``vaelab diagnose`` and
    ``vaelab watch`` read it; a file of an earlier start is continued. None: the rows stay in memory.
    callbacks: called with a ``vaelab.live.Change`` when the status, a finding or the likeliest cause changes, and at the end of
    the program, in a thread.
    alerts: sends the changes on, to a webhook, by e-mail ... (``vaelab.live.alerts``); it is closed with the Monitor.
    budget: share of the time that diagnoses may take, in (0, 1]. interval: seconds between two diagnoses, at least.

    Nothing here raises into the loop: what goes wrong is one warning of the logger ``vaelab.monitor``. On other ranks than 0,
    and in forked children, a Monitor does nothing; its status is ``cannot-tell`` there. It makes no collective call: to end a
    job of several processes, send the decision of rank 0 to all.
    """

    def __init__(
        self,
        config: Any = None,
        *,
        path: str | Path | None = None,
        callbacks: Iterable[Callback] = (),
        alerts: Alerts | None = None,
        budget: float = 0.02,
        interval: float = 1.0,
    ) -> None:
        self._arguments: dict[str, Any] = {"path": path, "budget": budget, "interval": interval}
        self._callbacks, self._alerts = list(callbacks), alerts
        self._settings: dict[str, Any] = {}
        self._state: Mapping[str, Any] | None = None
        self._engine: Engine | None = None
        self._pid: int | None = None  # of the process whose loop this is, from the first call on
        self._active = True
        self._notes = Notes()
        self._samples, self._sampled = 0, 0.0
        self.declare(config)

    # The loop --------------------------------------------------------------------------------------------------------

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Record the metrics of one step: numbers, numpy and torch scalars; nested mappings are joined with ``/``.

        Tensors of several values are taken as in ``observe``. Text and None are left out. Costs microseconds: a number on a
        GPU is not waited for.
        """
        try:
            if engine := self._ready():
                engine.put(self._capture(int(step), {**(values or {}), **more}))
        except Exception as error:
            self._notes.failed("Monitor.log", error)

    def observe(self, **tensors: Any) -> None:
        """Show tensors once, or every step: ``observe(x=batch, reconstruction=recon, latent=z, logits_real=..., ...)``.

        Their shapes and ranges say what the units are: pixels, channels, input range, latent elements. The batch is the first
        axis; arrays of numpy and of torch.
        """
        try:
            if engine := self._ready():
                engine.put(self._capture(None, tensors))
        except Exception as error:
            self._notes.failed("Monitor.observe", error)

    def declare(self, config: Any = None, /, **more: Any) -> None:
        """Add settings of the run, in any form that ``Monitor`` takes; later ones win."""
        try:
            settings = {**plain_settings(config), **plain_settings(more)}
            self._settings |= settings
            if self._engine is not None:
                self._engine.declare(settings)
        except Exception as error:
            self._notes.failed("Monitor.declare", error)

    def on_change(self, callback: C) -> C:
        """Register ``callback``; may be used as a decorator."""
        self._callbacks.append(callback)
        return callback

    # The judgement ---------------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """``healthy``, ``watch``, ``act``, ``stop``, or ``cannot-tell`` as long as too little was logged; does not flicker."""
        return self._engine.stable.status if self._engine else "cannot-tell"

    @property
    def headline(self) -> str:
        """The verdict in one sentence; empty before the first diagnosis."""
        return self._engine.stable.headline if self._engine else ""

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The last diagnosis, None before the first one."""
        return self._engine.diagnosis if self._engine else None

    @property
    def path(self) -> Path | None:
        """The file that the rows are written into, None if they stay in memory."""
        return file_of(self._arguments["path"])

    def wait(self) -> Status:
        """Diagnose all that was logged so far, now and in this thread, and return its status as it is: for the end of a run."""
        try:
            if self._engine and self._is_own_process():
                self._engine.judge(final=True)
        except Exception as error:
            self._notes.failed("Monitor.wait", error)
        return self.status

    def report(self, path: str | Path = "vaelab-report") -> list[Path]:
        """Write what ``vaelab report`` writes, of all that was logged so far, into the folder ``path``; returns the files."""
        try:
            self.wait()
            if self.diagnosis is None:
                return []
            from vaelab.report import write_report

            return write_report([self.diagnosis], path)
        except Exception as error:
            self._notes.failed("Monitor.report", error)
            return []

    def close(self) -> None:
        """Write and judge the last rows. Called by itself at the end of the program; nothing is recorded after it."""
        try:
            self._active = False
            if self._engine:
                self._engine.close()
        except Exception as error:
            self._notes.failed("Monitor.close", error)

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain lists, numbers and text. Without a path it holds all rows."""
        try:
            if self._engine and self._is_own_process():
                return {"version": STATE_VERSION, "settings": dict(self._settings), **self._engine.state_dict()}
            if self._state is not None:
                return dict(self._state)
        except Exception as error:
            self._notes.failed("Monitor.state_dict", error)
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was saved; what was told before is not told again."""
        try:
            if not state:
                return
            if state.get("version") != STATE_VERSION:
                raise ConfigError("it is not the state of a Monitor of this version")
            self._settings = {**state["settings"], **self._settings}
            if self._engine is None:
                self._state = state
            else:
                self._engine.load_state_dict(state)
        except Exception as error:
            self._notes.failed("Monitor.load_state_dict", error)

    def __getstate__(self) -> dict[str, Any]:
        """Callbacks and alerts are left out: give them again."""
        return {"arguments": self._arguments, "settings": self._settings, "state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["settings"], **state["arguments"])  # type: ignore[misc]
        self.load_state_dict(state["state"])

    def __repr__(self) -> str:
        rows = len(self._engine.rows) if self._engine else 0
        return f"Monitor({self.status}, {rows:,} rows)"

    # Inside ----------------------------------------------------------------------------------------------------------

    def _ready(self) -> Engine | None:
        """The engine, begun at the first call; None where this Monitor does nothing."""
        if not self._active:
            return None
        if self._engine is None:
            with _BEGINNING:  # loops may log from several threads
                self._active = is_main_process()
                if self._active and self._engine is None:
                    self._begin()
        elif not self._is_own_process():
            return None
        return self._engine

    def _begin(self) -> None:
        path, budget, interval = (self._arguments[name] for name in ("path", "budget", "interval"))
        rows = Rows(file_of(path), self._settings)
        engine = Engine(rows, self._callbacks, self._alerts, budget, interval, self._notes, self._state)
        engine.start()
        self._engine, self._pid, self._state = engine, os.getpid(), None
        weakref.finalize(self, engine.close)  # at the end of the program too

    def _is_own_process(self) -> bool:
        return self._pid == os.getpid()

    def _capture(self, step: int | None, values: Mapping[str, Any]) -> Captured:
        now = time.time()
        taken = Captured(step, now)
        taken.add(values, self._samples < FIRST_SAMPLES or now - self._sampled >= SAMPLE_SECONDS)
        if taken.tensors:
            self._samples, self._sampled = self._samples + 1, now
        return taken
