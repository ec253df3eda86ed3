"""Where an alert can go: a shell command, a webhook, e-mail. A plain Python function that takes an ``Alert`` is one as well.

A sink is called in the thread of ``Alerts``, ends within its time limit (of the whole delivery, not of one read), and raises
AlertError with one sentence if the alert could not be delivered. Text from a log is other people's text: it is never part of a command line or of a mail header.
"""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage, Message
from pathlib import Path
from typing import IO, Any

from vaelab.errors import VaelabError
from vaelab.live.changes import Change

SECONDS = 15.0
"""Time limit of one delivery."""

LOOK_SECONDS = 0.05  # between looks at what a command left in the background

SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
"""Where sendmail is, if it is not on the PATH (it often lies outside a user's)."""

MOST_TEXT = 4000  # characters of the text of one alert


class AlertError(VaelabError):
    """An alert could not be delivered, or its address cannot be understood."""


@dataclass(frozen=True)
class Alert:
    """One message about one run.

    kind: ``alarm``, ``recovery`` (the reason for an alarm that was sent is gone) or ``finished``. status: the shown status of
    the run. text: what to read, one or more lines without other control characters. left_out: alerts of this run that the rate
    limit kept back since the last message. changes: what it is about, the oldest first.
    """

    run_id: str
    source: str
    kind: str
    status: str
    step: int | None
    text: str
    left_out: int = 0
    changes: tuple[Change, ...] = ()

    @property
    def title(self) -> str:
        """One line: ``vaelab ALARM (stop): run-a-train-log-3f2a91c0``."""
        return f"vaelab {self.kind.upper()} ({self.status}): {self.run_id}"

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "kind": self.kind,
            "run": self.run_id,
            "source": self.source,
            "status": self.status,
            "step": self.step,
            "text": self.text,
            "left_out": self.left_out,
            "changes": [change.as_json() for change in self.changes],
        }


Sink = Callable[[Alert], object]


@dataclass(frozen=True)
class ShellCommand:
    """Runs ``command`` in the shell, as it was written, once an alert.

    The alert is in the environment: VAELAB_KIND, VAELAB_STATUS, VAELAB_RUN, VAELAB_SOURCE, VAELAB_STEP, VAELAB_TITLE,
    VAELAB_TEXT, VAELAB_LEFT_OUT; and as one JSON object on standard input. Its output is thrown away. After ``seconds`` it is
    killed with everything that it started in the background too; only what leaves its session (``setsid``) stays.
    """

    command: str
    seconds: float = SECONDS

    def __call__(self, alert: Alert) -> None:
        values = {
            "KIND": alert.kind,
            "STATUS": alert.status,
            "RUN": alert.run_id,
            "SOURCE": alert.source,
            "STEP": "" if alert.step is None else str(alert.step),
            "TITLE": alert.title,
            "TEXT": alert.text,
            "LEFT_OUT": str(alert.left_out),
        }
        environment = {**os.environ, **{f"VAELAB_{name}": value.replace("\0", "") for name, value in values.items()}}
        code, error = _run(self.command, json.dumps(alert.as_json()), self.seconds, shell=True, environment=environment)
        if code:
            raise AlertError(f"the alert command '{self.command}' ended with code {code}{_last_line(error)}.")

    def __str__(self) -> str:
        return f"the command '{self.command}'"


@dataclass(frozen=True)
class Webhook:
    """Posts one JSON object to ``url``: ``text`` as Slack, Mattermost and Rocket.Chat show it, and the fields of the alert.

    Raises AlertError if ``url`` is no http(s) address.
    """

    url: str
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            right = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            right = False
        if not right:
            raise AlertError("the webhook is no address that begins with http:// or https:// and names a host.")

    def __call__(self, alert: Alert) -> None:
        body = {**alert.as_json(), "text": slack_text(f"*{alert.title}*\n{alert.text}")}
        request = urllib.request.Request(
            self.url,
            json.dumps(body).encode(),
            {"Content-Type": "application/json; charset=utf-8", "User-Agent": "vaelab"},
            method="POST",
        )
        outcome: list[Exception | None] = []
        # a thread, because time limits of a socket are for one read: a server that sends a byte now and then has no end
        exchange = threading.Thread(target=lambda: outcome.append(_posted(request, self.seconds)), daemon=True)
        exchange.start()
        exchange.join(self.seconds)
        if not outcome:
            raise AlertError(f"{self} did not answer within {self.seconds:g} seconds.")
        error = outcome[0]
        if isinstance(error, urllib.error.HTTPError):
            moved = " It names another address: give that one." if 300 <= error.code < 400 else ""
            raise AlertError(f"{self} answered {error.code} ({error.reason}): the alert is not delivered.{moved}")
        if error is not None:
            raise AlertError(f"{self} cannot be reached: {getattr(error, 'reason', None) or error}.")

    def __str__(self) -> str:
        # the rest of the address is often a secret
        return f"the webhook at {urllib.parse.urlsplit(self.url).hostname}"


@dataclass(frozen=True)
class Email:
    """Sends a plain text mail to ``address`` through the system's sendmail (``program``, else the one that is found).

    Raises AlertError if ``address`` is no mail address.
    """

    address: str
    program: str | None = None
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        name, at, host = self.address.partition("@")
        if not (name and at and host) or any(c.isspace() or not c.isprintable() or c in ",;<>" for c in self.address):
            raise AlertError(f"{self.address!r} is no mail address: write it as name@example.org.")

    def __call__(self, alert: Alert) -> None:
        program = self.program or shutil.which("sendmail") or next((p for p in SENDMAIL if Path(p).exists()), None)
        if program is None:
            raise AlertError("there is no sendmail on this machine: use a webhook or a command for alerts.")
        message = EmailMessage()
        message["Subject"] = alert.title
        message["From"] = f"vaelab <{getpass.getuser()}@{socket.gethostname() or 'localhost'}>"
        message["To"] = self.address
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{alert.text}\n\n{alert.source}\n")
        # -t: the receivers stand in the header; -i: a line with a dot is no end
        code, error = _run([program, "-t", "-i"], message.as_string(), self.seconds)
        if code:
            raise AlertError(f"sendmail ended with code {code}{_last_line(error)}: no mail was sent to {self.address}.")

    def __str__(self) -> str:
        return f"mail to {self.address}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without the alert, so that a redirect is an answer like any other error."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _posted(request: urllib.request.Request, seconds: float) -> Exception | None:
    """Why ``request`` was not answered with success; None if it was."""
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds):
            return None
    except (OSError, ValueError, http.client.HTTPException) as error:
        return error


def slack_text(text: str) -> str:
    """``text`` in which nothing is a mention or a link: Slack asks for these three characters to be escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _run(
    command: str | list[str], given: str, seconds: float, shell: bool = False, environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and what was written to standard error. Raises AlertError if it cannot start or takes too long."""
    try:
        process = subprocess.Popen(
            command,
            shell=shell,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise AlertError(f"{command if shell else command[0]} cannot be started: {error}.") from None
    ends = time.monotonic() + seconds
    try:
        _, error_text = process.communicate(given.encode("utf-8", "replace"), timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        name = command if shell else command[0]
        raise AlertError(f"'{name}' took longer than {seconds:g} seconds and was ended.") from None
    while _group_lives(process.pid):  # what it left in the background has the same limit
        if time.monotonic() > ends:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(LOOK_SECONDS)
    return process.returncode, error_text.decode("utf-8", "replace")


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f" ({lines[-1][:200].rstrip('.')})" if lines else ""
