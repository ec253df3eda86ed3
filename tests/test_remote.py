"""Logs read from anywhere: S3, SSH, the web and memory, against real servers on loopback; what is fetched; what is never shown."""

from __future__ import annotations

import gc
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import remote_stand_ins
import vaelab
from live_runs import healthy_rows, write
from remote_servers import Web, free_port, listing_server, login, s3_server, ssh_server, web_server
from vaelab.cli.app import app
from vaelab.errors import LogError
from vaelab.integrations.mcp_runs import RunStore
from vaelab.live import Watcher
from vaelab.readers import read, read_all, remote_files
from vaelab.readers.addresses import shown, without_secrets
from vaelab.run import Run

LOGS = Path(__file__).parents[1] / "examples/logs"
RUN = "pyramid-flow-healthy/train.log"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with s3_server(monkeypatch) as client:
        yield client


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


@pytest.fixture
def memory() -> Iterator[Any]:
    import fsspec

    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with ssh_server(tmp_path, monkeypatch) as port:
        yield f"sftp://{login()}@127.0.0.1:{port}"


def same(a: Run, b: Run) -> bool:
    return np.array_equal(a.steps, b.steps) and all(np.array_equal(a[m], b[m], equal_nan=True) for m in b)


def upload(client: Any, folder: Path, prefix: str = "") -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        client.put_object(Bucket="runs", Key=prefix + path.relative_to(folder).as_posix(), Body=path.read_bytes())


# What an address may name -----------------------------------------------------------------------------------------------


def test_a_file_a_folder_and_a_pattern_in_a_bucket(s3: Any) -> None:
    upload(s3, LOGS)
    assert same(read(f"s3://runs/{RUN}"), read(LOGS / RUN))
    local = {Path(run.source).relative_to(LOGS).as_posix(): run for run in read_all(LOGS)}
    for address in ("s3://runs", "s3://runs/", "s3://runs/*"):
        found = {run.source.removeprefix("s3://runs/"): run for run in read_all(address)}
        assert found.keys() == local.keys()
        assert all(same(run, local[name]) for name, run in found.items())
    assert {run.source for run in read_all("s3://runs/pyramid-*/*.log")} == {
        f"s3://runs/{name}" for name in local if name.startswith("pyramid-")
    }


def test_a_file_a_folder_and_a_pattern_over_ssh(ssh: str, tmp_path: Path) -> None:
    assert same(read(f"{ssh}{LOGS / RUN}"), read(LOGS / RUN))
    assert {r.source for r in read_all(f"{ssh}{LOGS}")} == {f"{ssh}{r.source}" for r in read_all(LOGS)}
    assert len(read_all(f"{ssh}{LOGS}/pyramid-*/train.log")) == 2


def test_ssh_goes_by_the_users_config(ssh: str, tmp_path: Path) -> None:
    host, _, port = ssh.partition("@")[2].partition(":")
    (tmp_path / "home/.ssh/config").write_text(f"Host cluster\n  HostName {host}\n  Port {port}\n  User {login()}\n")
    assert same(read(f"sftp://cluster{LOGS / RUN}"), read(LOGS / RUN))


def test_a_file_on_the_web_with_and_without_ranges(web: Web) -> None:
    web.files["/my runs/train.log"] = (LOGS / RUN).read_bytes()
    for web.ranges in (True, False):
        run = read(f"http://127.0.0.1:{web.port}/my%20runs/train.log")
        assert same(run, read(LOGS / RUN))
        assert run.source == f"http://127.0.0.1:{web.port}/my runs/train.log"


def test_a_folder_on_the_web_by_its_listing() -> None:
    with listing_server(LOGS) as place:
        assert {run.source for run in read_all(f"{place}/")} == {
            f"{place}{r.source[len(str(LOGS)) :]}" for r in read_all(LOGS)
        }


def test_gzip_and_settings_beside_a_log(s3: Any, web: Web, memory: Any) -> None:
    content, settings = gzip.compress((LOGS / RUN).read_bytes()), b"latent_shape: [4, 5, 6, 7]\n"
    s3.put_object(Bucket="runs", Key="a/logs/train.log.gz", Body=content)
    s3.put_object(Bucket="runs", Key="a/config.yaml", Body=settings)
    memory.pipe({"/a/train.log.gz": content, "/a/config.yaml": settings})
    web.files = {"/a/train.log.gz": content, "/a/config.yaml": settings}
    for address in ("s3://runs/a/logs/train.log.gz", "memory://a/train.log.gz", "memory://a",
                    f"http://127.0.0.1:{web.port}/a/train.log.gz"):  # fmt: skip
        run = read(address)
        assert same(run, read(LOGS / RUN))
        assert run.config["latent_shape"] == [4, 5, 6, 7]
        place = address.partition("/a")[0]
        assert any(note.text == f"config read from {place}/a/config.yaml" for note in run.notes)


def test_formats_that_need_whole_files_or_folders(s3: Any, tracker_runs: Callable[[str], Path], tmp_path: Path) -> None:
    for kind in ("mlflow", "wandb", "comet"):
        shutil.copytree(tracker_runs(kind), tmp_path / kind, symlinks=True)
    upload(s3, tmp_path)
    for kind in ("mlflow/mlflow.db", "mlflow/mlruns", "wandb", "comet"):
        there, here = read_all(f"s3://runs/{kind}"), read_all(tmp_path / kind)
        assert len(there) == len(here)
        assert all(same(a, b) for a, b in zip(there, here, strict=True))
        assert [r.source.replace("s3://runs", str(tmp_path)) for r in there] == [r.source for r in here]


def test_every_command_takes_an_address(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    memory.pipe({f"/logs/{name}": (LOGS / name).read_bytes() for name in (RUN, "radiodiff-collapse/train.log")})
    run = CliRunner()
    diagnosed = run.invoke(app, ["diagnose", "memory://logs", "-f", "json"])
    assert [r["source"] for r in json.loads(diagnosed.stdout)["runs"]] == [
        "memory://logs/pyramid-flow-healthy/train.log", "memory://logs/radiodiff-collapse/train.log",
    ]  # fmt: skip
    assert run.invoke(app, ["report", "memory://logs", "-o", str(tmp_path / "report")]).exit_code == 0
    assert (tmp_path / "report/report.html").exists()
    assert "pyramid-flow-healthy" in run.invoke(app, ["compare", "memory://logs/*/train.log"]).stdout
    assert run.invoke(app, ["explain", "kl_loss", "--run", f"memory://logs/{RUN}"]).exit_code == 0
    assert run.invoke(app, ["watch", f"memory://logs/{RUN}", "--once"]).exit_code == 0
    sarif = json.loads(run.invoke(app, ["diagnose", "memory://logs", "-f", "sarif"]).stdout)
    uris = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in sarif["runs"][0]["results"]}
    assert "memory://logs/radiodiff-collapse/train.log" in uris
    del sarif, diagnosed
    gc.collect()  # a watcher's copy goes with it
    assert not list(copies.iterdir())


# What is fetched --------------------------------------------------------------------------------------------------------


def test_of_a_large_file_that_is_no_log_only_the_head_is_read(web: Web, memory: Any) -> None:
    web.files["/data.bin"] = b"\0\1\2\3" * 1_000_000
    with pytest.raises(LogError, match="looks like a binary file"):
        read(f"http://127.0.0.1:{web.port}/data.bin")
    assert [asked for name, asked in web.asked if name == "/data.bin"] == ["bytes=0-65535"]
    memory.pipe({"/run/train.log": (LOGS / RUN).read_bytes(), "/run/notes.txt": b"no numbers here\n" * 200_000})
    assert len(read_all("memory://run")) == 1


def test_a_large_log_comes_in_ranges(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "BLOCK", 1 << 20)
    rows = "".join(f"step {i}: rec_loss: {1 / (i + 1):.6f} kl_loss: {i % 7 + 0.5:.6f}\n" for i in range(70_000))
    web.files["/train.log"] = rows.encode()
    assert len(read(f"http://127.0.0.1:{web.port}/train.log")) == 70_000
    ranges = [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for _, asked in web.asked if asked]
    assert len(ranges) >= 3 and all(last - first < 1 << 20 for first, last in ranges)


def test_folders_of_pictures_and_odd_names_stay_away(s3: Any, tmp_path: Path) -> None:
    log = (LOGS / RUN).read_bytes()
    for key in (
        "samples/run/train.log",
        "samples/run/checkpoints/a.log",
        "samples/run/../../../evil.log",
        "samples/run/.x/b.log",
    ):
        s3.put_object(Bucket="runs", Key=key, Body=log)
    assert [run.source for run in read_all("s3://runs/samples/run/")] == ["s3://runs/samples/run/train.log"]


def test_more_than_the_limit_is_refused(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe({f"/many/{i}/train.log": (LOGS / RUN).read_bytes() for i in range(3)})
    monkeypatch.setattr(remote_files, "MOST_FETCHED", 50_000)
    with pytest.raises(LogError, match=r"memory://many holds more than .* of logs: name one of its runs"):
        read_all("memory://many")
    monkeypatch.setattr(remote_files, "MOST_FILES", 2)
    with pytest.raises(LogError, match="memory://many holds 3 files, more than 2"):
        read_all("memory://many")


def test_one_file_that_cannot_be_fetched_does_not_hide_the_others(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe({f"/two/{name}/train.log": (LOGS / RUN).read_bytes() for name in "ab"})
    opened = type(memory).open

    def refuse(self: Any, path: str, *args: Any, **options: Any) -> Any:
        if "/two/a/" in path:
            raise PermissionError(path)
        return opened(self, path, *args, **options)

    monkeypatch.setattr(type(memory), "open", refuse)
    (run,) = read_all("memory://two")
    assert run.source == "memory://two/b/train.log"
    assert any("memory://two/a/train.log was not read: access is denied" in note.text for note in run.notes)


# Watching and serving ---------------------------------------------------------------------------------------------------


def test_a_growing_log_is_followed_from_where_it_was(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, fetched = tmp_path / "metrics.jsonl", list[int]()
    counted = remote_files.FilesCopy._count
    monkeypatch.setattr(remote_files.FilesCopy, "_count", lambda self, n: (fetched.append(n), counted(self, n)))
    watcher = Watcher(["s3://runs/a/metrics.jsonl"], clock=lambda: 0.0)
    watcher.poll()
    (waiting,) = watcher.runs.values()
    assert waiting.source == "s3://runs/a/metrics.jsonl"
    assert waiting.problem is not None and waiting.problem.startswith("s3://runs/a/metrics.jsonl does not exist")

    def grow(last: int) -> int:
        write(log, healthy_rows(0, last))
        s3.put_object(Bucket="runs", Key="a/metrics.jsonl", Body=log.read_bytes())
        fetched.clear()
        watcher.poll()
        (run,) = watcher.runs.values()
        assert run.problem is None and run.source == "s3://runs/a/metrics.jsonl"
        return len(run.run or ())

    assert grow(3000) == 300
    before = log.stat().st_size
    assert grow(4000) == 400
    assert sum(fetched) == log.stat().st_size - before + remote_files.TAIL
    fetched.clear()
    watcher.poll()
    assert not fetched
    assert grow(2000) == 200  # written anew


def test_a_server_that_goes_away_is_waited_for(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "log", healthy_rows(0, 600))
    memory.pipe({"/a/metrics.jsonl": (tmp_path / "log").read_bytes()})
    watcher = Watcher(["memory://a"], clock=lambda: 0.0)
    watcher.poll()
    (run,) = watcher.runs.values()
    assert run.source == "memory://a/metrics.jsonl" and run.problem is None
    with monkeypatch.context() as away:
        away.setattr(type(memory), "info", lambda *_, **__: (_ for _ in ()).throw(ConnectionResetError()))
        watcher.poll()
        assert "the server cannot be reached" in str(run.problem) and run.step == 590
    watcher.poll()
    assert run.problem is None and list(watcher.runs.values()) == [run]


def test_an_agent_sees_remote_runs_under_lasting_ids(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe(
        {f"/logs/{RUN}": (LOGS / RUN).read_bytes(), "/logs/pyramid-flow-healthy/config.yaml": b"kl_weight: 1e-6"}
    )
    monkeypatch.setattr("vaelab.integrations.mcp_runs.REMOTE_SECONDS", 0.0)
    ids = []
    for _ in range(2):
        store = RunStore(["memory://logs"])
        (log,), problems = store.logs()
        (known,) = store.runs(log)
        ids.append(known.id)
        assert not problems and store.shown(known.run.source) == RUN
        assert any(n.text == "config read from memory://logs/pyramid-flow-healthy/config.yaml" for n in known.run.notes)
    assert ids[0] == ids[1]
    assert store.find(ids[0]).run.steps[-1] == read(LOGS / RUN).steps[-1]
    memory.pipe({"/logs/new/train.log": (LOGS / "radiodiff-collapse/train.log").read_bytes()})
    assert len(store.logs()[0]) == 2


# What goes wrong --------------------------------------------------------------------------------------------------------


def said(address: str) -> str:
    with pytest.raises(LogError) as raised:
        read(address)
    text = str(raised.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_what_is_not_there(s3: Any, ssh: str, web: Web, memory: Any) -> None:
    gone = [f"{ssh}/no/such.log", f"http://127.0.0.1:{web.port}/no.log", "memory://no.log"]
    for address in ("s3://runs/no.log", "s3://nobucket/x.log", "s3://nobucket/", "s3://runs/*.log", *gone):
        assert "does not exist: check the path" in said(address), address


def test_no_credentials_denied_and_unknown_hosts(
    s3: Any, ssh: str, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/a.log"], web.key = b"loss: 1\n", "right=1"
    assert "access is denied" in said(f"http://127.0.0.1:{web.port}/a.log")
    (tmp_path / "home/.ssh/id_ed25519").unlink()
    assert "access is denied" in said(f"{ssh}/etc/hostname")
    (tmp_path / "home/.ssh/known_hosts").unlink()
    assert "its host key is not known. Log in once with ssh" in said(f"{ssh}/etc/hostname")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "no credentials were found. Please set AWS_PROFILE" in said("s3://runs/a.log")


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = free_port()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for address in ("s3://runs/a.log", f"sftp://127.0.0.1:{port}/a.log", f"http://127.0.0.1:{port}/a.log"):
        assert "the server cannot be reached" in said(address)


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(remote_files, "PATIENCE", 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for address in ("s3://runs/a.log", f"sftp://127.0.0.1:{port}/a.log", f"http://127.0.0.1:{port}/a.log"):
            assert "no answer came in time" in said(address)


def test_an_unknown_scheme() -> None:
    assert (
        said("nosuch://a/b.log") == "nosuch://a/b.log has a scheme that nothing here can read: 'nosuch' is not known."
    )


def test_secrets_are_never_shown(web: Web) -> None:
    web.files["/train.log"], web.key = (
        (LOGS / RUN).read_bytes(),
        "X-Amz-Signature=topsecret&X-Amz-Credential=AKIAHIDDEN",
    )
    good = f"http://someone:hunter22@127.0.0.1:{web.port}/train.log?{web.key}"
    for address, outputs in ((good, ("terminal", "json", "markdown", "html", "sarif")), (good + "x", ("json",))):
        for output in outputs:
            result = CliRunner().invoke(app, ["diagnose", address, "-f", output])
            assert "/train.log" in result.output
            assert not any(secret in result.output for secret in ("hunter22", "topsecret", "AKIAHIDDEN", "someone"))
    once = CliRunner().invoke(app, ["watch", good, "--once", "--json-lines"])
    assert "topsecret" not in once.output and "train.log" in once.output
    assert vaelab.read(good).source == f"http://127.0.0.1:{web.port}/train.log"


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("sftp://me:pass@host:2/runs/a.log", "sftp://me@host:2/runs/a.log"),
        ("https://token@host/a.log#part", "https://host/a.log"),
        ("s3://KEY:SECRET@bucket/a.log?versionId=3", "s3://bucket/a.log"),
        ("s3://bucket/run?/a.log", "s3://bucket/run?/a.log"),
        ("hf://datasets/me/runs@main/a.log", "hf://datasets/me/runs@main/a.log"),
        ("runs/a.log", "runs/a.log"),
    ],
)
def test_how_addresses_are_shown(address: str, there: str) -> None:
    assert shown(address) == there


def test_errors_of_clients_are_cleaned() -> None:
    address = "https://me:p%40ssword@host/a?sig=abcdef"
    text = without_secrets("GET https://x:y@host/a?sig=abcdef failed for p@ssword", address)
    assert text == "GET https://host/a failed for ***"


def test_without_the_extra_one_sentence_names_it(tmp_path: Path) -> None:
    code = (
        "import sys\nfor name in ('fsspec', 's3fs', 'sshfs', 'aiohttp'): sys.modules[name] = None\n"
        "import vaelab\nprint(len(vaelab.read(sys.argv[1])))\n"
        "for address in ('s3://b/a.log', 'sftp://h/a.log', 'https://h/a.log'):\n"
        "    try: vaelab.read(address)\n    except vaelab.errors.LogError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(LOGS / RUN)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout.splitlines()
    assert lines[0] == "88"
    assert lines[1:] == [
        f"{address} cannot be read without the packages for it: pip install 'vaelab[remote]'."
        for address in ("s3://b/a.log", "sftp://h/a.log", "https://h/a.log")
    ]


# Services that only a stand-in can be had of ----------------------------------------------------------------------------


def logs_by_name() -> dict[str, bytes]:
    files = {f"runs/{path.parent.name}/{path.name}": path.read_bytes() for path in LOGS.glob("pyramid-*/train.log")}
    return {**files, "runs/pyramid-flow-healthy/config.yaml": b"latent_shape: [4, 5, 6, 7]\n"}


@pytest.mark.parametrize(("service", "place"), [("hub", "hf://datasets/me/vae"), ("google", "gs://runs")])
def test_files_on_the_hub_and_in_googles_storage(service: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with getattr(remote_stand_ins, service)(logs_by_name(), monkeypatch):
        run = read(f"{place}/runs/{RUN}")
        assert same(run, read(LOGS / RUN)) and run.source == f"{place}/runs/{RUN}"
        assert run.config["latent_shape"] == [4, 5, 6, 7]
        for address in (f"{place}/runs", f"{place}/runs/*/train.log"):
            names = {name for name in logs_by_name() if name.endswith(".log")}
            assert {run.source for run in read_all(address)} == {f"{place}/{name}" for name in names}
        assert "does not exist" in said(f"{place}/runs/no.log")
