"""The live page's server: what it answers, whom it lets in, and how it carries many pages, slow ones and vanished ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.errors import ConfigError
from vaelab.report.charts import points
from vaelab.web.feed import Feed
from vaelab.web.guard import checked_token
from vaelab.web.server import Server, most_connections
from vaelab.web.views import short_names
from web_helpers import append, get, run_ids, server, wait, write_log

PNG = b"\x89PNG\r\n\x1a\n picture"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("runs")
    with server(write_log(folder / "a/metrics.csv"), write_log(folder / "b/metrics.csv", 60)) as started:
        run_ids(started)
        yield started


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\nHost: local", b"GET /static/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr("vaelab.web.server.REQUEST_SECONDS", 0.2)
    with (
        server(write_log(tmp_path / "a.csv")) as started,
        socket.create_connection(("127.0.0.1", started.port)) as half,
    ):
        half.settimeout(20)
        half.sendall(begun)
        while half.recv(65536):
            pass  # ends: the server closes it


def test_a_page_that_is_open_for_long_is_no_late_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaelab.web.server.REQUEST_SECONDS", 1.0)
    log = write_log(tmp_path / "a.csv")

    async def stays() -> None:
        reader, writer = await listen(started.port)
        await asyncio.sleep(1.5)
        append(log, 120, 5)
        await last_step(reader, 1240)
        writer.close()

    with server(log) as started:
        run_ids(started)
        asyncio.run(stays())


def test_pages_beyond_the_limit_are_told_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaelab.web.server.MOST_CONNECTIONS", 6)

    async def open_many() -> list[bytes]:
        pages = [await asyncio.open_connection("127.0.0.1", started.port) for _ in range(10)]
        for _, writer in pages:
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lines = [await asyncio.wait_for(reader.readline(), 20) for reader, _ in pages]
        for _, writer in pages:
            writer.close()
        return lines

    with server(write_log(tmp_path / "a.csv")) as started:
        run_ids(started)
        answers = asyncio.run(open_many())
        assert any(b" 503 " in line for line in answers)
        assert wait(lambda: get(started, "/").status == 200), "those that close make room"


@pytest.mark.parametrize(("files", "most"), [(1024, 924), (50, 1), (10**6, 1000)])
def test_open_files_limit_the_connections(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert most_connections() == most


# --- what it answers --------------------------------------------------------------------------------------------------


def test_the_page_and_its_files_come_with_headers_that_forbid_inline_scripts(two_runs: Server) -> None:
    for path in ("/", "/static/live.js", "/static/uPlot.iife.min.js", "/static/dark.css"):
        answer = get(two_runs, path)
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy and "default-src 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = get(two_runs, "/").body.decode()
    assert "<script>" not in page and "http://" not in page and "https://" not in page


def test_a_file_that_the_browser_has_is_not_sent_again(two_runs: Server) -> None:
    tag = get(two_runs, "/static/charts.js").headers["ETag"]
    again = get(two_runs, "/static/charts.js", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")


def test_a_run_comes_with_its_verdict_findings_and_charts(two_runs: Server) -> None:
    first = run_ids(two_runs)[0]
    content = get(two_runs, f"/runs/{first}").json
    assert content["name"] == "a/metrics.csv"
    assert content["status"] in content["parts"]["verdict"]
    assert "<h2>Findings</h2>" in content["parts"]["judgement"]
    assert ["rec_loss"] in [chart["metrics"] for chart in content["charts"]]
    assert content["axis"]["steps"] == [0, 1190]


def test_points_are_of_the_range_and_no_more_than_asked_for(two_runs: Server) -> None:
    first = run_ids(two_runs)[0]
    found = get(two_runs, f"/runs/{first}/points?metric=rec_loss&metric=kl_loss&first=300&last=600&limit=20").json
    assert len(found["y"]) == 2 and len(found["x"]) == len(found["y"][0]) <= 20
    # one value more on either side
    assert (found["x"][0], found["x"][-1]) == (290, 610)


@pytest.mark.parametrize("query", ["metric=rec_loss&limit=x", "metric=rec_loss&first=nan", "metric=rec_loss&last=0x1"])
def test_a_query_that_is_no_number_is_refused_with_a_sentence(two_runs: Server, query: str) -> None:
    answer = get(two_runs, f"/runs/{run_ids(two_runs)[0]}/points?{query}")
    assert answer.status == 400 and "number" in answer.json["error"]


@pytest.mark.parametrize(
    "path", ["/runs/none", "/runs/none/points?metric=a", "/static/none.js", "/none", "/runs/none/report.html"]
)
def test_what_does_not_exist_is_said_to_be_missing(two_runs: Server, path: str) -> None:
    answer = get(two_runs, path)
    assert answer.status == 404 and answer.json["error"]


def test_nothing_can_be_posted(two_runs: Server) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", two_runs.port, timeout=20)
    connection.request("POST", "/", body="x")
    assert connection.getresponse().status == 405


def test_the_report_can_be_saved_as_one_file(two_runs: Server) -> None:
    answer = get(two_runs, f"/runs/{run_ids(two_runs)[0]}/report.html")
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert b"<!doctype html>" in answer.body and b"a/metrics.csv" in answer.body


def test_runs_are_compared_in_words_and_over_each_other(two_runs: Server) -> None:
    first, second = run_ids(two_runs)
    content = get(two_runs, f"/compare?run={first}&run={second}").json
    assert "With care" in content["parts"]["comparison"] and "common step" in content["parts"]["numbers"]
    chart = next(chart for chart in content["charts"] if chart["metrics"] == ["kl_loss"])
    assert chart["lines"] == ["a", "b"]
    found = get(two_runs, f"/compare/points?run={first}&run={second}&metric=kl_loss").json
    a, b = found["y"]
    assert len(found["x"]) == 120 and None not in a and b[60:] == [None] * 60


@pytest.mark.parametrize("count", [0, 1, 13])
def test_a_comparison_needs_two_to_twelve_runs(two_runs: Server, count: int) -> None:
    query = "&".join(f"run={run_ids(two_runs)[0]}{i}" for i in range(count))
    answer = get(two_runs, f"/compare?{query}")
    assert answer.status == 400 and "2 to 12 runs" in answer.json["error"]


def test_a_log_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later.csv"
    with server(path) as started:
        (view,) = wait(lambda: started.poller.views.values())
        assert view.diagnosis is None and get(started, f"/runs/{view.id}").json["problem"]
        write_log(path)
        (run_id,) = wait(lambda: [v.id for v in started.poller.views.values() if v.diagnosis])
        assert get(started, f"/runs/{run_id}").json["problem"] is None


def test_a_file_name_that_is_no_unicode_is_served(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\x1b[31mname.csv")
    with server(write_log(path)) as started:
        (run_id,) = run_ids(started)
        assert "bad?[31mname.csv" in get(started, f"/runs/{run_id}").json["source"]
        assert get(started, f"/runs/{run_id}/report.html").status == 200
        with socket.create_connection(("127.0.0.1", started.port), timeout=20) as page:
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while b"name.csv" not in received:
                received += page.recv(4096)


# --- previews and validation of own runs ------------------------------------------------------------------------------


@pytest.fixture
def own_run(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    (folder / "previews").mkdir(parents=True)
    records = [
        {"step": i, "rec_mse": 0.5 / (i + 1), "rec_loss": 0.4 / (i + 1), "clip_coefficient": 1.0, "kl_loss": 3.0}
        | ({"val/psnr": 20.0 + i / 10, "val_ema/psnr": 21.0} if i % 20 == 19 else {})
        for i in range(60)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (folder / "events.jsonl").write_text('{"step": 20, "event": "baselines", "blurred": {"psnr": 19.25}}\n')
    (folder / "validation.md").write_text(
        "| score | better | raw |\n| --- | --- | --: |\n| psnr <b> | higher | 20.1 |\n\n- note\n"
    )
    (folder / "previews/preview_00000020.png").write_bytes(PNG)
    (folder / "previews/preview_00000020.mp4").write_bytes(b"video of some length")
    (folder / "previews/preview_00000040.mp4").write_bytes(b"its picture is not there yet")
    (folder / "previews/notes.txt").write_text("no preview")
    return folder


def test_previews_come_by_step_and_only_from_their_folder(own_run: Path) -> None:
    (own_run / "secret.png").write_bytes(b"secret")
    (own_run / "previews/preview_00000060.png").symlink_to(own_run / "secret.png")
    with server(own_run) as started:
        (run_id,) = run_ids(started)
        assert get(started, f"/runs/{run_id}").json["previews"] == [{"step": 20, "kinds": ["mp4", "png"]}]
        picture = get(started, f"/runs/{run_id}/previews/20.png")
        assert (picture.body, picture.headers["Content-Type"]) == (PNG, "image/png")
        part = get(started, f"/runs/{run_id}/previews/20.mp4", Range="bytes=9-14")
        assert (part.status, part.body) == (206, b"some l")
        for path in (
            "60.png",
            "40.mp4",
            "0.png",
            "..%2f..%2fsecret.png",
            "20.png%2f..%2f..%2f..%2fsecret.png",
            "20.txt",
        ):
            assert get(started, f"/runs/{run_id}/previews/{path}").status == 404


@pytest.mark.parametrize(
    "path", ["/static/..%2f..%2f__init__.py", "/static/../../etc/passwd", "/..%2f..%2fetc/passwd", "/runs/..%2f..%2f"]
)
def test_no_address_leads_to_another_file(two_runs: Server, path: str) -> None:
    assert get(two_runs, path).status == 404


def test_a_new_preview_and_the_validation_are_shown(own_run: Path) -> None:
    with server(own_run) as started:
        (run_id,) = run_ids(started)
        part = get(started, f"/runs/{run_id}").json["parts"]["validation"]
        assert "psnr &lt;b&gt;" in part and '<td class="number">20.1</td>' in part
        assert "baseline: blurred" in part and "19.25" in part and "59 (EMA)" in part
        (own_run / "previews/preview_00000040.png").write_bytes(PNG)
        wait(lambda: len(get(started, f"/runs/{run_id}").json["previews"]) == 2)


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_another_host_name_is_refused(two_runs: Server, host: str) -> None:
    assert get(two_runs, "/", Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:1", "[::1]:80", "LOCALHOST:80"])
def test_names_of_this_machine_with_any_port_are_served(two_runs: Server, host: str) -> None:
    assert get(two_runs, "/", Host=host).status == 200


def test_a_token_opens_every_address_and_nothing_does_without(tmp_path: Path) -> None:
    with server(write_log(tmp_path / "a.csv"), host="0.0.0.0") as started:
        assert started.token and len(started.token) >= 32 and started.url.endswith(f"?token={started.token}")
        (run_id,) = run_ids(started)
        for path in (
            "/",
            "/events",
            "/static/live.js",
            f"/runs/{run_id}",
            "/?token=wrong",
            f"/?token={started.token}x",
        ):
            assert get(started, path).status == 401
        welcome = get(started, f"/?token={started.token}")
        assert (welcome.status, welcome.headers["Location"]) == (303, "./")
        cookie = welcome.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and f"vaelab-{started.port}=" in cookie
        assert get(started, "/", Cookie=cookie.partition(";")[0]).status == 200
        assert get(started, "/", Cookie=f"vaelab-{started.port}=wrong").status == 401
        assert get(started, f"/runs/{run_id}", Authorization=f"Bearer {started.token}").status == 200
        assert get(started, "/", Authorization="Bearer wrong").status == 401


def test_the_token_is_taken_out_of_the_address_and_the_rest_stays(tmp_path: Path) -> None:
    with server(write_log(tmp_path / "a.csv"), token="a-token-of-mine") as started:
        answer = get(started, "/compare?run=a&token=a-token-of-mine&run=b")
        assert answer.headers["Location"] == "./compare?run=a&run=b"
        outside = get(started, "//evil.example/?token=a-token-of-mine")
        assert outside.headers["Location"].startswith("./")


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "semicolon;semicolon", "größer-als-ascii"])
def test_a_token_that_is_weak_or_does_not_fit_a_cookie_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="--token needs at least 8"):
        checked_token("127.0.0.1", token)


def test_loopback_needs_no_token_and_other_hosts_get_one() -> None:
    assert [checked_token(host, None) for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8")] == [None] * 4
    assert all(checked_token(host, None) for host in ("0.0.0.0", "192.168.0.7", "machine.example", "::"))


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vaelab.web.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"needs uvicorn, .* pip install 'vaelab\[web\]'"):
        from vaelab.web import serve  # noqa: F401


def test_an_address_in_use_is_said_in_one_sentence(two_runs: Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {two_runs.port}: .*--port"):
        server(tmp_path, port=two_runs.port)
    with pytest.raises(ConfigError, match="is no address"):
        server(tmp_path, host="no.such.host.invalid")
    with pytest.raises(ConfigError, match="is not this machine"):
        server(tmp_path, host="192.0.2.1", token="a-token-of-mine")  # an address that nobody has


# --- many pages, slow ones and vanished ones --------------------------------------------------------------------------


def state_of(block: bytes) -> dict:
    """The state in the text of one event."""
    data = [line[6:] for line in block.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: ")]
    return json.loads(b"\n".join(data)) if data else {}


async def listen(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def last_step(reader: asyncio.StreamReader, step: int) -> None:
    """Read states until one says that the only run has come to ``step``."""
    while True:
        state = state_of(await reader.readuntil(b"\r\n\r\n"))
        if state.get("runs") and state["runs"][0]["step"] == step:
            return


def test_two_hundred_pages_all_hear_of_new_rows_and_leave_nothing_behind(tmp_path: Path) -> None:
    path = write_log(tmp_path / "train.csv")

    async def many(at: Server) -> None:
        pages = await asyncio.gather(*(listen(at.port) for _ in range(200)))
        await asyncio.gather(*(last_step(reader, 1190) for reader, _ in pages))
        assert at.poller.feed.clients == 200
        append(path, 120, 5)
        await asyncio.gather(*(last_step(reader, 1240) for reader, _ in pages))
        for i, (_, writer) in enumerate(pages):
            if i % 2:  # half of them vanish without a goodbye
                kept = writer.get_extra_info("socket")
                kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()

    with server(path) as started:
        run_ids(started)
        asyncio.run(asyncio.wait_for(many(started), 60))
        wait(lambda: started.poller.feed.clients == 0)


def test_a_page_that_reads_nothing_holds_back_nobody_and_gets_the_newest_state(tmp_path: Path) -> None:
    path = write_log(tmp_path / "train.csv")

    async def slow_and_fast(at: Server) -> None:
        slow, slow_writer = await listen(at.port)
        fast, fast_writer = await listen(at.port)
        await last_step(fast, 1190)
        # 30 MB in all, far more than the network's buffers hold for the one that does not read
        for number in range(300):
            at.poller.feed.publish(json.dumps({"number": number, "padding": "x" * 100_000}))
            while state_of(await fast.readuntil(b"\r\n\r\n")).get("number") != number:
                pass
        seen: list[int] = []
        while not seen or seen[-1] != 299:
            seen.append(state_of(await slow.readuntil(b"\r\n\r\n")).get("number", -1))
        assert len(seen) < 300  # it was not queued for
        for writer in (slow_writer, fast_writer):
            writer.close()

    with server(path) as started:
        run_ids(started)
        asyncio.run(asyncio.wait_for(slow_and_fast(started), 60))


def test_a_page_hears_from_the_server_also_when_nothing_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaelab.web.app.ALIVE_SECONDS", 0.05)
    with (
        server(write_log(tmp_path / "train.csv")) as started,
        socket.create_connection(("127.0.0.1", started.port), timeout=20) as page,
    ):
        page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        # without data a browser would not pass the event on
        while b"event: alive\r\ndata: alive\r\n\r\n" not in received:
            received += page.recv(4096)


def test_a_server_with_open_pages_stops_and_its_port_is_free_again(tmp_path: Path) -> None:
    path = write_log(tmp_path / "train.csv")
    first = server(path).start()
    run_ids(first)
    with socket.create_connection(("127.0.0.1", first.port)) as page:
        page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert page.recv(10).startswith(b"HTTP/1.1 2")
        first.stop()
        with server(path, port=first.port) as second:
            assert get(second, "/").status == 200


def test_the_command_says_where_the_page_is_and_ends_quietly_on_ctrl_c(tmp_path: Path) -> None:
    path = write_log(tmp_path / "train.csv")
    command = [sys.executable, "-m", "vaelab", "watch", str(path), "--web", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = re.search(r"http://127\.0\.0\.1:(\d+)/$", process.stderr.readline().strip())
        assert address is not None
        with socket.create_connection(("127.0.0.1", int(address[1])), timeout=60) as page:
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert page.recv(12) == b"HTTP/1.1 200"
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            said = process.stderr.read()  # not communicate(): it loses what readline() has read ahead
        assert process.returncode == 130 and "Traceback" not in said
        assert said.splitlines()[-1] == "Ctrl-C ends it."


def test_alerts_get_the_changes_and_a_watcher_that_fails_is_said_on_the_page(tmp_path: Path) -> None:
    told: list[str] = []
    with server(
        write_log(tmp_path / "a.csv"), on_changes=lambda changes: told.extend(c.kind for c in changes)
    ) as started:
        run_ids(started)
        assert "status" in told

        def fail() -> None:
            raise OSError("the disk is gone")

        started.poller.watcher.poll = fail  # type: ignore[assignment,method-assign]
        said = wait(lambda: (started.poller._published[0] or {}).get("problem"))
        assert "the disk is gone" in said and "Please report it" in said
        assert get(started, "/").status == 200


# --- properties -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_a_reader_sees_numbers_that_only_grow_and_ends_at_the_newest(pauses: list[int]) -> None:
    async def read() -> list[int]:
        feed, seen = Feed(), []
        feed.attach()

        async def reader() -> None:
            async for number, text, whole in feed.texts():
                assert text == (str(number) if whole else f"{number - 1} to {number}")
                assert whole or number == seen[-1] + 1
                seen.append(number)
                await asyncio.sleep(0)

        task = asyncio.create_task(reader())
        for number, pause in enumerate(pauses):
            feed.publish(str(number), f"{number - 1} to {number}")
            for _ in range(pause):
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        feed.close()
        await task
        assert feed.clients == 0
        return seen

    seen = asyncio.run(read())
    assert seen == sorted(set(seen)) and seen[-1] == len(pauses) - 1


values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=200)


@given(values, st.integers(10, 60), st.integers(-20, 220), st.integers(-20, 220))
def test_points_of_a_range_hold_its_extremes_and_only_values_of_the_log(
    logged: list[float], limit: int, a: int, b: int
) -> None:
    steps, line = np.arange(len(logged), dtype=np.int64), np.array(logged)
    first, last = min(a, b), max(a, b)
    found = points([(steps, line)], limit, first, last)
    x, (y,) = found["x"], found["y"]
    assert len(x) <= limit and x == sorted(set(x))
    assert all(value is not None and np.isclose(value, line[step], rtol=1e-5) for step, value in zip(x, y, strict=True))
    inside = line[(steps >= first) & (steps <= last) & np.isfinite(line)]
    if len(inside):
        drawn = [value for value in y if value is not None]
        assert min(drawn) <= inside.min() + 1e-5 * abs(inside.min())
        assert max(drawn) >= inside.max() - 1e-5 * abs(inside.max())


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert short_names(["logs/a/train.log", "logs/b/train.log"]) == ["a/train.log", "b/train.log"]
    assert short_names(["x/run/train.log", "y/run/train.log"]) == ["x/run/train.log", "y/run/train.log"]
    assert short_names(["train.log"]) == ["train.log"]
