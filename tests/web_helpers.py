"""Small logs that grow, a real server on a free port, and a plain HTTP client, for the tests of the live page."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vaelab.live import Watcher
from vaelab.web.server import Server

COLUMNS = ("rec_loss", "perceptual_loss", "kl_loss", "total_loss", "grad_norm")


def rows(first: int, count: int) -> list[str]:
    """Lines of a CSV log with the columns ``step`` and ``COLUMNS``, ten steps apart."""
    lines = []
    for i in range(first, first + count):
        rec, perceptual, kl = 0.05 + 0.2 * math.exp(-i / 60), 0.3 + 0.1 * math.sin(i), 40 + 10 * math.cos(i / 7)
        values = (rec, perceptual, kl, rec + perceptual + 1e-4 * kl, 1 + 0.3 * math.sin(3 * i))
        lines.append(",".join([str(10 * i), *(f"{value:.6f}" for value in values)]))
    return lines


def write_log(path: Path, count: int = 120, names: tuple[str, ...] = COLUMNS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(["step", *names]), *rows(0, count)]) + "\n", "utf-8")
    return path


def append(path: Path, first: int, count: int) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(rows(first, count)) + "\n")


def server(*paths: Path, **options: Any) -> Server:
    """A server that is not started yet; it looks at the logs every few hundredths of a second."""
    return Server(Watcher([str(path) for path in paths]), **{"port": 0, "interval": 0.05, **options})


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(at: Server, path: str, **headers: str) -> Answer:
    """One request to ``at``; no redirect is followed."""
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=20)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def wait(condition: Callable[[], Any]) -> Any:
    """The first true value of ``condition``, asked again for up to ten seconds."""
    for _ in range(200):
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail("what was waited for did not happen")


def run_ids(at: Server) -> list[str]:
    """Ids of the runs, once all of them have been judged."""
    wait(lambda: at.poller.views and all(view.diagnosis for view in at.poller.views.values()))
    return list(at.poller.views)
