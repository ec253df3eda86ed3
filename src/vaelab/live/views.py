"""Ways to show runs that are watched: the whole terminal, one print, plain lines, JSON lines."""

from __future__ import annotations

import json
import signal
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.status import Status
from rich.text import Text

from vaelab.live.changes import Change
from vaelab.live.keys import LEAVE, NEXT, PREVIOUS, Keys
from vaelab.live.page import one_line
from vaelab.live.screen import page, short_names, worst_run
from vaelab.live.watched import WatchedRun

if TYPE_CHECKING:
    from vaelab.live.alerts import Alerts

TERMINATED = 128 + signal.SIGTERM


class _Quiet:
    """A view that needs no preparation and says nothing of reading."""

    def reading(self, path: str) -> None:
        pass

    def __enter__(self) -> object:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


class FullScreen:
    """The whole terminal, as a pager uses it; what stood there comes back at the end, however the watch ends.

    It is written only when something on it changes. When the watch ends by itself, the last state is printed.
    """

    def __init__(self, console: Console, alerts: Alerts | None = None) -> None:
        self.console, self.alerts = console, alerts
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._runs: Sequence[WatchedRun] = ()
        self._shown: object = None
        self._keys = Keys()
        self._selected: str | None = None  # id of the run that was chosen by key

    def reading(self, path: str) -> None:
        if not self._runs:
            self._live.update(Text(f"reading {one_line(path)} ...", style="dim"), refresh=True)

    def show(self, runs: Sequence[WatchedRun], changes: Sequence[Change]) -> None:
        self._runs = runs
        width, height = self.console.size
        selected = next((run for run in runs if run.id == self._selected), None)
        keys = "" if not self._keys.on else f"q leave{'   n p next, previous run' if len(runs) > 1 else ''}"
        lines = page(runs, self.console, width, height, self.alerts, selected, keys)
        state = (width, height, [line.markup for line in lines])
        if state != self._shown:
            self._shown = state
            self._live.update(_group(lines, self.console), refresh=True)

    def pause(self, seconds: float) -> bool:
        """Wait so long and obey the keys; True as soon as somebody leaves."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            key = self._keys.read(left)
            if key in LEAVE:
                return True
            if self._runs and key in (*NEXT, *PREVIOUS):
                ids = [run.id for run in self._runs]
                now = ids.index(self._selected) if self._selected in ids else ids.index(worst_run(self._runs).id)
                self._selected = ids[(now + (1 if key in NEXT else -1)) % len(ids)]
                self.show(self._runs, ())
        return False

    def __enter__(self) -> object:
        # what numpy warns of would be written over the screen
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        if threading.current_thread() is threading.main_thread():
            # a killed watch must not leave the terminal without its cursor
            self._before = signal.signal(signal.SIGTERM, _end)
        self._keys.__enter__()
        self._live.start()
        self.show((), ())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.update(Text())  # rich prints the last state once more where there is no alternate screen
        self._live.stop()
        self._keys.__exit__(kind, error, at)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)
        self._warnings.__exit__(None, None, None)
        if kind is None:
            print_once(self._runs, self.console, self.alerts)


class Printed(_Quiet):
    """The screen printed after every poll: for one look. A terminal shows what is being read in the meantime."""

    def __init__(self, console: Console, alerts: Alerts | None = None) -> None:
        self.console, self.alerts = console, alerts
        self._progress = Status("reading", console=Console(stderr=True))

    def reading(self, path: str) -> None:
        if self._progress.console.is_terminal:
            self._progress.update(Text(f"reading {one_line(path)}"))
            self._progress.start()

    def show(self, runs: Sequence[WatchedRun], changes: Sequence[Change]) -> None:
        self._progress.stop()
        print_once(runs, self.console, self.alerts)


class Lines(_Quiet):
    """For a file or a pipe: a line for every run at first, then a line for every change."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last: dict[str, str] = {}

    def show(self, runs: Sequence[WatchedRun], changes: Sequence[Change]) -> None:
        names = short_names(runs)
        changed = {change.run_id for change in changes}
        for run in runs:
            if run.id not in self._last and run.id not in changed:
                self._line(time.time(), run.id, names, run.problem or f"{run.status}: {run.headline}")
        for change in changes:
            self._line(change.time, change.run_id, names, change.text)

    def _line(self, when: float, run_id: str, names: Mapping[str, str], text: str) -> None:
        if self._last.get(run_id) == text:
            return
        self._last[run_id] = text
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
        line = Text(f"{clock}  {names[run_id]}: {one_line(text)}")
        self.console.print(_group([line], self.console), soft_wrap=True)


class JsonLines(_Quiet):
    """One JSON object a line: the state of a run whenever it is another one (``"kind": "state"``), and every change."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self._states: dict[str, object] = {}

    def show(self, runs: Sequence[WatchedRun], changes: Sequence[Change]) -> None:
        for run in runs:
            state = run.as_json()
            if self._states.get(run.id) != state:
                self._states[run.id] = state
                self._line(state)
        for change in changes:
            self._line(change.as_json())

    def _line(self, value: object) -> None:
        self.file.write(json.dumps(value) + "\n")
        self.file.flush()


def print_once(runs: Sequence[WatchedRun], console: Console, alerts: Alerts | None = None) -> None:
    """All of the screen, however high the terminal is; of many runs one line each."""
    lines = page(runs, console, console.width, 60 + (16 if len(runs) <= 20 else 3) * len(runs), alerts)
    console.print(_group(lines, console))


def _group(lines: Sequence[Text], console: Console) -> Group:
    """Lines as they are, each in characters that the terminal or file has."""
    for line in lines:
        line.no_wrap, line.overflow = True, "ignore"
        line.plain = line.plain.replace("…", "~") if console.options.ascii_only else line.plain
        line.plain = line.plain.encode(console.encoding, "replace").decode(console.encoding)
    return Group(*lines)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
