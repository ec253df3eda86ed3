"""What long commands show while they work, in a real terminal and elsewhere, and how they end on Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from evaluate_models import write_run
from forked_processes import Forked, vaelab
from media_files import write_video
from small_runs import command, environment, small, written
from vaelab.cli import progress as progress_module
from vaelab.cli.progress import progress

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A vaelab command whose screen is a pseudo-terminal. early: it is to be interrupted while it imports torch."""

    def __init__(self, *arguments: str | Path, early: bool = False) -> None:
        self.controller, screen = pty.openpty()
        self.written = ""
        environ = {**environment(), "COLUMNS": "200", "TERM": "xterm"}
        environ.pop("NO_COLOR")
        self.process: subprocess.Popen | Forked
        if early:
            self.process = subprocess.Popen(
                command(*arguments), stdin=screen, stdout=screen, stderr=screen, env=environ, start_new_session=True
            )
        else:
            self.process = Forked(vaelab, *arguments, environ=environ, terminal=screen)
        os.close(screen)

    def read_until(self, text: str | None) -> None:
        """Until ``text`` was written, or to the end."""
        while text is None or text not in ESCAPE.sub("", self.written):
            try:
                part = os.read(self.controller, 65536)
            except OSError:  # the process has closed its side
                part = b""
            if not part:
                assert text is None, self.written
                return
            self.written += part.decode("utf-8", "replace")

    def interrupt(self) -> str:
        """Ctrl-C; what is on the screen then."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.read_until(None)
        os.close(self.controller)
        assert self.process.wait() == 130, self.written
        assert "Traceback" not in self.written and "KeyboardInterrupt" not in self.written
        return " ".join(ESCAPE.sub("", self.written).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny")


COMMANDS = {
    "evaluate": (["-n", "100000"], "reconstructing and scoring", "clips were measured. The same command measures all"),
    "probe": (["--samples", "100000"], "encoding", "Interrupted while encoding (", "Nothing was written"),
    "reconstruct": (["long.mp4"], "long.mp4", "Interrupted after 0 of 1 files; the table holds these. To go on"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("early", [True, False], ids=["while loading", "while working"])
def test_a_bar_from_the_first_second_and_ctrl_c(name: str, early: bool, run: Path, tmp_path: Path) -> None:
    more, part, *says = COMMANDS[name]
    if name == "reconstruct":
        more = [write_video(tmp_path / "long.mp4", frames=2000, size=(64, 64))]
    terminal = Terminal(name, run, *more, "-o", tmp_path / "out", early=early)
    if early:
        terminal.read_until("loading torch and the checkpoint")
    else:
        terminal.read_until(part)
        terminal.read_until("/")  # done/whole
    shown = terminal.interrupt()
    for text in ["Interrupted while loading torch"] if early else says:
        assert text in shown, shown


@pytest.mark.parametrize("early", [True, False], ids=["while loading", "while working"])
def test_a_smoke_run(early: bool, tmp_path: Path) -> None:
    terminal = Terminal("smoke", written(tmp_path / "small.yaml", small(run__batch_size=64)), early=early)
    if early:
        terminal.read_until("loading torch, the data and the networks")
    else:
        terminal.read_until("training")
        terminal.read_until("/24")
    shown = terminal.interrupt()
    assert f"Interrupted while {'loading torch' if early else 'training'}" in shown and "Nothing is kept of it" in shown


def test_a_training_that_is_interrupted_before_its_first_step(tmp_path: Path) -> None:
    terminal = Terminal("train", written(tmp_path / "small.yaml", small()), "-o", tmp_path / "run", early=True)
    terminal.read_until("loading torch, the data and the networks")
    shown = terminal.interrupt()
    assert f"There is no checkpoint yet. Start again with: vaelab train ... -o {tmp_path / 'run'} --resume" in shown


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "FIRST_LINE", 0.0)
    monkeypatch.setattr(progress_module, "BETWEEN_LINES", 0.001)
    waiting = threading.Event()
    error = ""
    said = r"Interrupted while encoding \(2 of 8\)\. Nothing was written\."
    with (
        pytest.raises(KeyboardInterrupt, match=said),
        progress("probe", "loading torch", "Nothing was written.") as report,
    ):
        for part, done in (("loading torch", 0), ("encoding", 2)):
            if done:
                report(part, done, 8)
            while part not in error:  # the thread writes on its own
                waiting.wait(0.001)
                error += capsys.readouterr().err
        raise KeyboardInterrupt
    assert re.search(r"^vaelab probe: loading torch, \d+ s$", error, re.M)
    assert re.search(r"^vaelab probe: encoding \(2 of 8\), \d+ s, about \d+ s left$", error, re.M)


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "FIRST_LINE", 3600.0)
    with progress("probe", "loading torch", "") as report:
        report("encoding", 1, 2)
    assert capsys.readouterr().err == ""
