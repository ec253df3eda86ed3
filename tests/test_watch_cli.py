"""``vaelab watch`` as people run it: real processes, a real terminal, pipes, exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from live_runs import healthy_rows, write
from vaelab.cli.app import app

LOGS = Path(__file__).parents[1] / "examples/logs"
COMMAND = [sys.executable, "-m", "vaelab", "watch"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color", "COLUMNS": "", "NO_COLOR": ""}
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error in a pipe."""
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["watch", *arguments])
    return done.exit_code, done.stdout, done.stderr


class Terminal:
    """``vaelab watch`` in a terminal of its own, 80 columns by 24 lines."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {k: v for k, v in ENVIRONMENT.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.written = ""

    def read_until(self, text: str, since: int = 0) -> None:
        """Until ``text`` was written after position ``since``; fails where it never is."""
        for _ in range(3000):
            if text in ESCAPE.sub("", self.written[since:]):
                return
            self.read(0.02)
        raise AssertionError(f"{text!r} was not shown: {self.written[since:][-3000:]!r}")

    def read(self, seconds: float) -> str:
        """What is written within ``seconds``, if anything is."""
        new = ""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            try:
                new = os.read(self.master, 1 << 16).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                time.sleep(0.01)
        self.written += new
        return new

    def end(self, by: int | None = None) -> int:
        """The exit code, after signal ``by``."""
        if by is not None:
            self.process.send_signal(by)
        while self.process.poll() is None:
            self.read(0.02)
        while self.read(0.02):
            pass
        os.close(self.master)
        return self.process.returncode

    @property
    def is_restored(self) -> bool:
        """The alternate screen was left and the cursor is shown, in this order of what was written last."""
        entered, left = self.written.rfind("\x1b[?1049h"), self.written.rfind("\x1b[?1049l")
        hidden, shown = self.written.rfind("\x1b[?25l"), self.written.rfind("\x1b[?25h")
        return -1 < entered < left and hidden < shown


# In a terminal --------------------------------------------------------------------------------------------------------


def test_the_screen_follows_a_log_and_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    terminal = Terminal(str(log), "--interval", "0.1")
    terminal.read_until("WAITING")
    write(log, healthy_rows(0, 600))
    terminal.read_until("HEALTHY")
    write(log, healthy_rows(600, 800))
    terminal.read_until("step 790")
    last = len(terminal.written)
    write(log, ['{"step": 800, "rec_loss": NaN, "kl_loss": NaN}', '{"step": 810, "rec_loss": NaN, "kl_loss": NaN}'])
    terminal.read_until("STOP", since=last)
    assert terminal.end(signal.SIGINT) == 130
    assert terminal.is_restored
    after = terminal.written[terminal.written.rfind("\x1b[?1049l") :]
    assert "Traceback" not in terminal.written and "KeyboardInterrupt" not in terminal.written
    assert ESCAPE.sub("", after).strip() == ""


def test_keys_choose_the_run_and_q_leaves() -> None:
    terminal = Terminal(str(LOGS), "--interval", "30")
    terminal.read_until("q leave")
    last = len(terminal.written)
    os.write(terminal.master, b"n")
    terminal.read_until("> WATCH", since=last)
    os.write(terminal.master, b"q")
    assert terminal.end() == 0
    assert terminal.is_restored


def test_a_killed_watch_gives_the_terminal_back_too() -> None:
    terminal = Terminal(str(LOGS))
    terminal.read_until("5 runs")
    assert terminal.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert terminal.is_restored


def test_a_screen_of_24_lines_is_never_exceeded() -> None:
    terminal = Terminal(str(LOGS), "--interval", "0.1")
    terminal.read_until("last change")
    terminal.end(signal.SIGINT)
    screens = terminal.written.split("\x1b[?1049h")[1].split("\x1b[?1049l")[0].split("\x1b[H")
    assert len(screens) > 1
    for screen in screens:
        lines = ESCAPE.sub("", screen).splitlines()
        assert len(lines) <= 24 and all(len(line) <= 80 for line in lines)
    assert "\x1b[2J" not in terminal.written.split("\x1b[?1049h")[1]  # clearing the screen is what makes it flicker


def test_a_finished_run_leaves_its_last_state_on_the_screen() -> None:
    terminal = Terminal(str(LOGS / "radiodiff-collapse"))
    assert terminal.end() == 0
    assert terminal.is_restored
    after = terminal.written[terminal.written.rfind("\x1b[?1049l") :]
    assert "STOP" in after and "KL201" in after


# In a pipe ------------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines_without_colours() -> None:
    done = subprocess.run(
        [*COMMAND, str(LOGS / "pyramid-flow-healthy")], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (0, "") and "\x1b" not in done.stdout
    first, last = done.stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  pyramid-flow-healthy: healthy at step 799: ", first)
    assert last.endswith("the run has finished at step 799: healthy")


def test_what_is_waited_for_is_said_once(tmp_path: Path) -> None:
    code, out, _ = run(str(tmp_path / "later"), "--interval", "0.1", "--idle", "0.01")
    assert code == 3
    (line,) = out.splitlines()
    assert line.endswith("later does not exist yet: waiting for it.")


def test_one_look_prints_the_screen() -> None:
    code, out, err = run(str(LOGS), "--once")
    assert (code, err) == (0, "") and "\x1b" not in out
    assert out.startswith("5 runs: 1 stop, 2 act, 1 watch, 1 healthy\n")
    assert "> STOP" in out and "posterior-collapse" in out


def test_a_terminal_of_few_characters_gets_those_it_has(tmp_path: Path) -> None:
    log = tmp_path / os.fsdecode(b"run-\xff-\xc3\xa4.jsonl")
    write(log, healthy_rows(0, 300))
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    for options, code in ((["--once"], 0), (["--idle", "0"], 3)):
        command = [*COMMAND, str(LOGS / "radiodiff-collapse"), str(log), *options]
        done = subprocess.run(command, capture_output=True, env=environment)
        assert (done.returncode, done.stderr) == (code, b"")
        assert done.stdout.isascii() and b"radiodiff-collapse" in done.stdout


def test_json_lines_hold_states_and_changes() -> None:
    code, out, err = run(str(LOGS / "radiodiff-collapse"), "--json-lines", "--once")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["kind"] for row in rows[:2]] == ["state", "status"] and rows[0]["status"] == rows[1]["new"] == "stop"
    assert len({row["run"] for row in rows}) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["pyramid-flow-healthy", "--until", "act"], 0),
        (["pyramid-flow-gan-weight", "--until", "act"], 1),
        (["pyramid-flow-gan-weight", "--until", "stop"], 0),
        (["radiodiff-collapse", "--until", "stop"], 1),
        (["radiodiff-collapse", "--until", "stop", "--once"], 1),
        (["radiodiff-collapse", "--select", "NONSENSE"], 2),
        (["radiodiff-collapse", "--dialect", "nonsense"], 2),
        (["radiodiff-collapse", "--once", "--web"], 2),
        (["nothing-here.log", "--once"], 3),
        (["ldm-lightning-lr", "--until", "stop", "--idle", "0"], 3),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    done = CliRunner().invoke(app, ["watch", str(LOGS / arguments[0]), *arguments[1:]])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output


def test_until_cancels_a_job_that_goes_wrong(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 400))
    out = tmp_path / "out"
    with out.open("w") as file:
        watch = subprocess.Popen(
            [*COMMAND, str(log), "--until", "stop", "--interval", "0.1"], stdout=file, env=ENVIRONMENT
        )
    while "healthy at step" not in out.read_text():
        assert watch.poll() is None
        time.sleep(0.02)
    write(log, ['{"step": 400, "rec_loss": NaN, "kl_loss": NaN}'])
    assert watch.wait(60) == 1
    assert ": stop at step 400: " in out.read_text()


def test_ctrl_c_in_a_pipe_is_quiet(tmp_path: Path) -> None:
    watch = subprocess.Popen(
        [*COMMAND, str(tmp_path), "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert watch.stdout is not None and "waiting for one" in watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=60)
    assert (watch.returncode, err) == (130, "")


def test_a_closed_pipe_ends_the_watch_quietly(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 300))
    with subprocess.Popen(
        [*COMMAND, str(log), "--json-lines", "--interval", "0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    ) as watch:  # fmt: skip
        assert watch.stdout is not None and watch.stderr is not None
        assert json.loads(watch.stdout.readline())["step"] == 290
        watch.stdout.close()
        write(log, healthy_rows(300, 400))
        assert watch.wait(60) == 141
        assert watch.stderr.read() == ""


def test_a_log_that_tries_to_write_to_the_terminal_cannot(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    rows = [json.loads(row) for row in healthy_rows(0, 300)]
    write(log, (json.dumps({**row, "\x1b[2Jevil\x07 [red]": 1.0, "<b>": 2}) for row in rows))
    for options in (["--once"], ["--once", "--json-lines"]):
        code, out, err = run(str(log), *options)
        assert code == 0 and err == "" and "\x1b" not in out and "\x07" not in out


# Alerts ---------------------------------------------------------------------------------------------------------------


def test_an_alert_command_is_run(tmp_path: Path) -> None:
    out = tmp_path / "alerts"
    command = f'echo "$VAELAB_KIND $VAELAB_STATUS $VAELAB_RUN" >> {out}'
    code, _, err = run(str(LOGS / "radiodiff-collapse"), "--once", "--alert-command", command)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"alarm stop run-radiodiff-collapse-train-log-[0-9a-f]{8}\n", out.read_text())


def test_an_alert_that_fails_is_said_once_on_standard_error() -> None:
    code, _, err = run(str(LOGS), "--once", "--alert-command", "exit 7")
    assert code == 0 and err == "vaelab: the alert command 'exit 7' ended with code 7.\n"


@pytest.mark.parametrize("option", ["--alert-webhook", "--alert-email"])
def test_an_address_that_cannot_be_right_is_refused(option: str) -> None:
    done = CliRunner().invoke(app, ["watch", str(LOGS), option, "nonsense"])
    assert done.exit_code == 2 and "Traceback" not in done.output


# The live page --------------------------------------------------------------------------------------------------------


def test_the_web_options_reach_the_live_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    served: list[tuple[Any, ...]] = []
    monkeypatch.setattr("vaelab.web.server.serve", lambda *arguments: served.append(arguments))
    out = tmp_path / "alerts"
    options = ["--web", "--host", "0.0.0.0", "--port", "0", "--token", "secret", "--interval", "0.5"]
    command = f"echo $VAELAB_STATUS >> {out}"
    done = CliRunner().invoke(app, ["watch", str(LOGS), *options, "--alert-command", command])
    assert done.exit_code == 0, done.output
    ((watcher, host, port, token, open_browser, interval, on_changes),) = served
    assert (host, port, token, open_browser, interval) == ("0.0.0.0", 0, "secret", False, 0.5)
    assert len({change.run_id for change in watcher.poll()}) == 5 and on_changes([]) is None


def test_without_the_packages_of_the_live_page_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vaelab.web.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = CliRunner().invoke(app, ["watch", str(LOGS), "--web"])
    assert done.exit_code == 2 and "pip install 'vaelab[web]'" in done.output
