"""Alerts: what is sent and what is kept back; a real web server, a real shell command, a real sendmail program."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.live.alerts import Alert, AlertError, Alerts, Email, ShellCommand, Webhook
from vaelab.live.changes import Change
from vaelab.live.sinks import slack_text

HOSTILE = "$(touch pwned) `id` '; rm -rf . <!channel> \x1b[31m\nBcc: x@example.org"


def change(
    kind: str, old: str | None = None, new: str | None = None, step: int | None = 100, run: str = "run-a"
) -> Change:
    return Change(run, step, kind, old, new, f"{kind} {old} {new} at {step}", "logs/a.log")


def status(old: str | None, new: str, step: int = 100, run: str = "run-a") -> Change:
    return change("status", old, new, step, run)


ALERT = Alert(
    "run-a", "logs/a.log", "alarm", "act", 1200, "act at step 1,200: KL too big", 2, (status("watch", "act"),)
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Collected:
    """Alerts with a clock that is set by hand and no sink: what is sent is what a call returns."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.alerts = Alerts([], 300.0, clock=self.clock, **options)

    def __call__(self, *changes: Change, after: float = 0.0) -> list[tuple[str, str, int]]:
        self.clock.now += after
        return [(a.kind, a.status, a.left_out) for a in self.alerts(changes)]


# What is sent ---------------------------------------------------------------------------------------------------------


def test_an_alarm_is_sent_and_its_end_too() -> None:
    send = Collected()
    assert send(status(None, "healthy")) == []
    assert send(status("healthy", "watch")) == []
    assert send(status("watch", "act"), change("finding", None, "KL201 critical")) == [("alarm", "act", 0)]
    assert send(status("act", "watch"), after=400) == [("recovery", "watch", 0)]
    assert send(status("watch", "healthy"), after=400) == []


def test_one_message_holds_all_that_came_together() -> None:
    send = Collected()
    changes = [status("watch", "act"), *(change("finding", None, f"AAA10{i} critical") for i in range(9))]
    (alert,) = send.alerts(changes)
    assert alert.changes == tuple(changes) and len(alert.text.splitlines()) == 6


def test_messages_of_one_run_keep_their_distance_and_say_what_was_left_out() -> None:
    send = Collected()
    assert send(status("watch", "act")) == [("alarm", "act", 0)]
    assert send(change("finding", None, "KL201 critical"), after=10) == []
    assert send(status("act", "watch"), after=10) == []
    assert send(status("watch", "act"), after=10) == []
    assert send(after=200) == []
    assert send(after=100) == [("alarm", "act", 2)]
    assert (
        send.alerts.last is not None and "2 alerts of this run before this one were left out" in send.alerts.last.text
    )
    assert send(after=1000) == []


def test_an_alarm_that_came_and_went_while_it_waited_ends_with_the_recovery() -> None:
    send = Collected()
    send(status("watch", "act"))
    send(status("act", "watch"), after=10)
    assert send(after=400) == [("recovery", "watch", 0)]
    # nothing was sent of this one, so there is nothing to take back
    send(status("watch", "act"), after=10)
    send(status("act", "watch"), after=10)
    assert send(after=400) == []


def test_stop_does_not_wait() -> None:
    send = Collected()
    send(status("watch", "act"))
    assert send(status("act", "stop"), after=1) == [("alarm", "stop", 0)]
    assert send(change("finding", None, "NUM501 critical"), after=1) == []


def test_runs_do_not_wait_for_each_other() -> None:
    send = Collected()
    assert send(status("watch", "act"), status("watch", "act", run="run-b")) == [("alarm", "act", 0)] * 2
    assert send(status("watch", "act", run="run-c"), after=1) == [("alarm", "act", 0)]


def test_a_log_that_was_read_and_cannot_be_read_any_more_is_an_alarm() -> None:
    send = Collected()
    assert send(change("problem", new="does not exist yet", step=None)) == []
    assert send(change("recovered", step=None)) == []
    assert send(change("stalled", new="12 minutes")) == [("alarm", "cannot-tell", 0)]
    assert send(change("recovered"), after=400) == [("recovery", "cannot-tell", 0)]


@pytest.mark.parametrize(("wanted", "sent"), [(True, [("finished", "healthy", 0)]), (False, [])])
def test_the_end_of_a_run_is_told_if_wanted(wanted: bool, sent: list[tuple[str, str, int]]) -> None:
    send = Collected(finished=wanted)
    send(status(None, "healthy"))
    assert send(change("finished", new="healthy")) == sent


def test_a_run_that_ends_badly_is_an_alarm_and_one_that_ends_well_a_recovery() -> None:
    send = Collected()
    assert send(status(None, "act"), change("finished", new="act")) == [("alarm", "act", 0)]
    again = Collected()
    again(status(None, "act"))
    assert again(change("finished", new="act"), after=400) == [("finished", "act", 0)]
    well = Collected()
    well(status(None, "act"))
    assert well(status("act", "healthy"), change("finished", new="healthy"), after=400) == [("recovery", "healthy", 0)]


def test_the_grade_can_be_chosen() -> None:
    send = Collected(at_least="stop")
    assert send(status("watch", "act")) == []
    assert send(status("act", "stop")) == [("alarm", "stop", 0)]
    assert send(status("stop", "act"), after=400) == [("recovery", "act", 0)]


def test_a_run_that_goes_back_keeps_its_alarm() -> None:
    send = Collected()
    send(status("watch", "act"))
    assert send(change("resumed", "600", "500"), after=400) == []
    assert send(status("act", "watch"), after=400) == [("recovery", "watch", 0)]


def test_another_run_in_the_same_place_begins_with_nothing() -> None:
    send = Collected()
    send(status("watch", "act"))
    assert send(change("restarted"), status(None, "healthy"), after=400) == []
    assert send(change("finished", new="healthy"), after=400) == [("finished", "healthy", 0)]


@given(st.lists(st.tuples(st.sampled_from(["healthy", "watch", "act", "stop"]), st.floats(0, 400)), max_size=40))
def test_the_last_message_is_true_once_its_time_has_come(steps: list[tuple[str, float]]) -> None:
    send = Collected()
    before: str | None = None
    sent: list[tuple[str, str, int]] = []
    times: list[float] = []
    for new, pause in steps:
        if new != before:
            found = send(status(before, new), after=pause)
            times += [send.clock.now] * (bool(found) and found[0][1] != "stop")
            sent += found
            before = new
    sent += send(after=1000)
    bad = before in ("act", "stop")
    assert (bool(sent) and sent[-1][0] == "alarm") == bad
    assert all(b - a >= 300 for a, b in pairwise(times))


# Sinks ----------------------------------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], object]) -> None:
    """Until ``condition`` holds; a thread does the work."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_python_function_is_a_sink() -> None:
    got: list[Alert] = []
    alerts = Alerts([got.append])
    alerts([status("watch", "act")])
    alerts.close()
    assert [alert.status for alert in got] == ["act"]


def test_what_was_kept_back_is_sent_without_another_call_and_at_the_end() -> None:
    got: list[Alert] = []
    clock = Clock()
    alerts = Alerts([got.append], clock=clock)
    alerts([status("watch", "act")])
    alerts([status("act", "watch")])
    clock.now += 400
    wait_for(lambda: len(got) == 2)
    alerts([status("watch", "act")])
    alerts.close()
    assert [alert.kind for alert in got] == ["alarm", "recovery", "alarm"]


def test_a_sink_that_fails_is_reported_once_and_the_others_go_on() -> None:
    got: list[Alert] = []
    said: list[str] = []

    def broken(alert: Alert) -> None:
        raise RuntimeError("no network")

    clock = Clock()
    alerts = Alerts([broken, got.append], min_seconds=0.0, report=said.append, clock=clock)
    for new, old in (("act", "watch"), ("watch", "act"), ("stop", "watch")):
        alerts([status(old, new)])
        clock.now += 1
    alerts.close()
    assert len(got) == 3
    assert said == alerts.problems == ["the alert to broken failed (RuntimeError: no network)."]


def test_a_sink_that_hangs_holds_nobody_up() -> None:
    let_go = threading.Event()
    alerts = Alerts([lambda alert: let_go.wait(60)], min_seconds=0.0)
    for _ in range(1100):
        alerts([status("watch", "act")])
    assert any("wait for a sink" in problem for problem in alerts.problems)
    alerts.close(seconds=0.05)
    let_go.set()


def test_a_command_gets_the_alert_in_its_environment_and_as_json(tmp_path: Path) -> None:
    out, given_json = tmp_path / "out", tmp_path / "json"
    ShellCommand(
        f'echo "$VAELAB_KIND|$VAELAB_STATUS|$VAELAB_STEP|$VAELAB_LEFT_OUT|$VAELAB_TEXT" > {out}; cat > {given_json}'
    )(ALERT)
    assert out.read_text() == "alarm|act|1200|2|act at step 1,200: KL too big\n"
    assert json.loads(given_json.read_text()) == json.loads(json.dumps(ALERT.as_json()))


def test_text_from_a_log_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = Alert(HOSTILE, HOSTILE, "alarm", "act", 1, HOSTILE + "\0")
    ShellCommand('printf %s "$VAELAB_TEXT" > text; printf %s "$VAELAB_SOURCE" > source')(hostile)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "text"]
    assert (tmp_path / "text").read_text() == HOSTILE


def test_a_command_that_fails_or_hangs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AlertError, match=r"ended with code 3 \(no such channel\)\."):
        ShellCommand("echo no such channel. >&2; exit 3")(ALERT)
    mark = tmp_path / "still here"
    with pytest.raises(AlertError, match=r"took longer than 0\.2 seconds"):
        ShellCommand(f"sleep 30; touch '{mark}'", seconds=0.2)(ALERT)
    assert not mark.exists()


def test_what_a_command_leaves_in_the_background_has_its_limit_too(tmp_path: Path) -> None:
    number = tmp_path / "process"
    quiet = f"sleep 600 >/dev/null 2>&1 & echo $! > '{number}'"
    ShellCommand(quiet, seconds=2)(ALERT)  # the command itself ended well: the alert is delivered

    def is_gone() -> bool:
        try:
            os.kill(int(number.read_text()), 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(is_gone)


class Server(HTTPServer):
    def __init__(self, code: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.code, self.got = code, list[tuple[str, str | None, bytes]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/secret-token"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[200])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_webhook_gets_json_that_slack_shows(server: Server) -> None:
    Webhook(server.url)(Alert("run-a", "a.log", "alarm", "act", 1, "1 < 2 & <!channel>"))
    ((path, kind, body),) = server.got
    assert path == "/services/secret-token" and kind == "application/json; charset=utf-8"
    posted = json.loads(body)
    assert posted["text"] == "*vaelab ALARM (act): run-a*\n1 &lt; 2 &amp; &lt;!channel&gt;"
    assert (posted["run"], posted["status"], posted["left_out"]) == ("run-a", "act", 0)


@pytest.mark.parametrize("server", [500], indirect=True)
def test_a_webhook_that_refuses_is_one_sentence_without_the_secret(server: Server) -> None:
    with pytest.raises(AlertError, match=r"the webhook at 127\.0\.0\.1 answered 500") as caught:
        Webhook(server.url)(ALERT)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("server", [301, 302, 303, 307, 308], indirect=True)
def test_a_webhook_that_redirects_has_not_delivered(server: Server) -> None:
    with pytest.raises(AlertError, match=r"answered 30\d .*not delivered\. It names another address"):
        Webhook(server.url)(ALERT)
    assert len(server.got) == 1  # nothing is sent to the other address


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX-A: ", b""])
def test_a_webhook_that_drips_is_given_up_within_the_limit(sent: bytes) -> None:
    """Each byte comes in time; the exchange as a whole does not."""
    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(sent)
                while not enough.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(AlertError, match=r"127\.0\.0\.1 did not answer within 0\.4 seconds"):
                Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/", seconds=0.4)(ALERT)
        finally:
            enough.set()
            thread.join()


def test_a_webhook_that_answers_nonsense_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x00\x01 nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AlertError, match="cannot be reached"):
            Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/")(ALERT)
        thread.join()


def test_a_webhook_that_nobody_answers_is_one_sentence(server: Server) -> None:
    free = Server(200)
    free.server_close()
    with pytest.raises(AlertError, match=r"the webhook at 127\.0\.0\.1 cannot be reached: .*refused"):
        Webhook(free.url)(ALERT)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/x", "file:///etc/passwd", "https://", "example.org", "http://[::1"]
)
def test_an_address_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(AlertError, match="begins with http"):
        Webhook(url)


@given(st.text())
def test_text_for_slack_holds_no_mention_and_loses_nothing(text: str) -> None:
    shown = slack_text(text)
    assert not set("<>") & set(shown)
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@pytest.fixture
def sendmail(tmp_path: Path) -> Path:
    """A program with sendmail's name and options that keeps what it is given."""
    program = tmp_path / "bin/sendmail"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf %s "$*" > "{tmp_path}/options"\ncat > "{tmp_path}/mail"\n')
    program.chmod(0o755)
    return program


def test_a_mail_goes_through_sendmail(sendmail: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{sendmail.parent}{os.pathsep}{os.environ['PATH']}")
    Email("me@example.org")(ALERT)
    assert (tmp_path / "options").read_text() == "-t -i"
    mail = message_from_bytes((tmp_path / "mail").read_bytes(), policy=default)
    assert mail["To"] == "me@example.org" and mail["Subject"] == "vaelab ALARM (act): run-a"
    assert "act at step 1,200: KL too big" in mail.get_content()


def test_text_from_a_log_is_never_a_mail_header(sendmail: Path, tmp_path: Path) -> None:
    Email("me@example.org", program=str(sendmail))(Alert("run-a", HOSTILE, "alarm", "act", 1, HOSTILE))
    mail = message_from_bytes((tmp_path / "mail").read_bytes(), policy=default)
    assert mail["Bcc"] is None and mail["To"] == "me@example.org" and "Bcc: x@example.org" in mail.get_content()


@pytest.mark.parametrize("address", ["", "me", "@x", "me@", "a@b, c@d", "a@b\nBcc: c@d", "<a@b>"])
def test_an_address_that_is_no_mail_address_is_refused(address: str) -> None:
    with pytest.raises(AlertError, match="is no mail address"):
        Email(address)


def test_a_mail_that_cannot_be_sent_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AlertError, match="cannot be started"):
        Email("me@example.org", program=str(tmp_path / "none"))(ALERT)
    with pytest.raises(AlertError, match="sendmail ended with code 1"):
        Email("me@example.org", program="false" if sys.platform == "win32" else "/bin/false")(ALERT)
