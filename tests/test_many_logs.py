"""Many logs: one that cannot be read never hides the others, wherever they are judged; and all cores give the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from vaelab import processes
from vaelab.cli.app import app
from vaelab.errors import ConfigError, LogError
from vaelab.integrations.mcp_runs import RunStore
from vaelab.live import Watcher
from vaelab.processes import cores_for, each
from vaelab.readers import groups, read_all

GOOD = "".join(f"step {i}: rec_loss={1 / (i + 2):.6f} kl_loss=3.0\n" for i in range(40))
NOTHING = "step,epoch\n" + "".join(f"{i},0\n" for i in range(9))
runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good runs; beside them one log without a metric and one at which vaelab itself fails, each alone and beside a good one."""
    for name, content in {
        "a/train.log": GOOD,
        "b/train.log": GOOD.replace("3.0", "2.0"),
        "b/metrics.csv": NOTHING,
        "b/other.log": "broken\n" + GOOD.replace("3.0", "5.0"),
        "c/metrics.csv": NOTHING,
        "d/train.log": "broken\n" + GOOD.replace("3.0", "4.0"),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.fixture(autouse=True)
def fails_where_it_says_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    real = groups.build_runs

    def build_runs(log: Any, *args: Any) -> Any:
        if Path(log.source).is_file() and Path(log.source).read_text().startswith("broken"):
            raise ZeroDivisionError("planted")
        return real(log, *args)

    monkeypatch.setattr(groups, "build_runs", build_runs)


def names(sources: list[str]) -> list[str]:
    return [str(Path(source).relative_to(Path(source).parents[1])) for source in sources]


def all_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FEWEST_TASKS", 1)
    monkeypatch.setattr(processes, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.mark.parametrize("spread", [False, True])
def test_diagnose(folder: Path, spread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if spread:
        all_on_all_cores(monkeypatch)
    shown = runner.invoke(app, ["diagnose", str(folder), "-f", "json"])
    assert shown.exit_code in (0, 1), shown.output
    assert names([run["source"] for run in json.loads(shown.stdout)["runs"]]) == ["a/train.log", "b/train.log"]
    lines = shown.stderr.splitlines()
    assert len(lines) == 4 and all(line.startswith("vaelab: not read: ") for line in lines)
    for name, why in (("c/metrics.csv", "no metric"), ("d/train.log", "ZeroDivisionError: planted"),
                      ("b/metrics.csv", "no metric"), ("b/other.log", "ZeroDivisionError: planted")):  # fmt: skip
        assert any(name in line and why in line for line in lines), (name, lines)


def test_compare_and_report(folder: Path) -> None:
    shown = runner.invoke(app, ["compare", str(folder), "-f", "json"])
    comparison = json.loads(shown.stdout)
    assert [run["label"] for run in comparison["runs"]] == ["a", "b"]
    assert any("d/train.log" in warning for warning in comparison["warnings"])
    shown = runner.invoke(app, ["report", str(folder), "-o", str(folder / "out")])
    assert shown.exit_code == 0 and len(json.loads((folder / "out/diagnosis.json").read_text())["runs"]) == 2


def test_watch(folder: Path) -> None:
    watcher = Watcher([folder])
    watcher.poll()
    assert names([run.source for run in watcher.runs.values() if run.run is not None]) == ["a/train.log", "b/train.log"]


def test_mcp(folder: Path) -> None:
    store = RunStore([folder])
    read, failed = [], []
    for log in store.logs()[0]:
        try:
            read += [known.run.source for known in store.runs(log)]
        except LogError as error:
            failed.append(str(error))
    assert sorted(names(read)) == ["a/train.log", "b/train.log"]
    assert len(failed) == 2 and any("ZeroDivisionError" in text for text in failed)


def test_a_pattern_and_a_rule_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a" / "empty.log").write_text("")
    runs = read_all(str(folder / "*" / "*.log"))
    assert names([run.source for run in runs]) == ["a/train.log", "b/train.log"] and len(runs[0].notes) >= 2
    from vaelab import diagnosis

    real = diagnosis.diagnose

    def diagnose(run: Any, **options: Any) -> Any:
        if "/b/" in run.source:
            raise IndexError("planted")
        return real(run, **options)

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    shown = runner.invoke(app, ["diagnose", str(folder / "*" / "train.log"), "-f", "json"])
    assert names([run["source"] for run in json.loads(shown.stdout)["runs"]]) == ["a/train.log"]
    assert "b/train.log was left out" in shown.stderr and "IndexError: planted" in shown.stderr


def test_where_nothing_can_be_read_it_is_an_error(folder: Path) -> None:
    for place in (folder / "c", folder / "d"):
        shown = runner.invoke(app, ["diagnose", str(place)])
        assert shown.exit_code == 2 and str(place) in shown.stderr
    shown = runner.invoke(app, ["diagnose", str(folder / "a" / "train.log"), str(folder / "c" / "metrics.csv")])
    assert shown.exit_code == 2 and "c/metrics.csv" in shown.stderr, "a file that was named is an error"


# --- processes ------------------------------------------------------------------------------------------------------------


class Job(NamedTuple):
    name: str
    size: int = 0


def work(job: Job) -> int:
    if job.name == "no log":
        raise LogError("it is no log")
    if job.name == "wrong":
        raise ValueError("planted")
    if job.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == "option":
        raise ConfigError("an option is wrong")
    if job.name == "lambda":
        return lambda: None  # type: ignore[return-value]
    return job.size * 2


def test_results_come_in_order_and_each_failure_costs_its_own_task_only() -> None:
    jobs = [Job(str(i), i) for i in range(30)]
    jobs[3], jobs[7], jobs[11], jobs[12], jobs[20] = (Job(n) for n in ("no log", "wrong", "crash", "crash", "lambda"))
    done: list[Job] = []
    found = each(work, jobs, attrgetter("name"), 3, done.append)
    assert [f for f in found if not isinstance(f, LogError)] == [
        2 * i for i in range(30) if i not in (3, 7, 11, 12, 20)
    ]
    said = {i: str(f) for i, f in enumerate(found) if isinstance(f, LogError)}
    assert said[3] == "it is no log" and "wrong was left out" in said[7] and "ValueError: planted" in said[7]
    assert "crash was left out: the process that was at it ended" in said[11] and said[11] == said[12]
    assert "lambda was left out" in said[20]
    assert sorted(done) == sorted(jobs)


@pytest.mark.parametrize("count", [1, 2])
def test_a_wrong_option_is_wrong_for_all(count: int) -> None:
    with pytest.raises(ConfigError, match="an option is wrong"):
        each(work, [Job("1"), Job("option"), Job("2")], attrgetter("name"), count)


def test_processes_are_used_only_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores_for(2, 100.0) == cores_for(100, 0.5) == 1
    assert cores_for(5, 10.0) == 5 and cores_for(2000, 60.0) == 8


CTRL_C = """
import os, signal, sys, time
from operator import attrgetter
from test_many_logs import Job
from vaelab.processes import each
def wait(job):
    os.write(1, b"%d\\n" % os.getpid())  # one write: two processes share the pipe
    time.sleep(600)
each(wait, [Job("a"), Job("b"), Job("c")], attrgetter("name"), 2)
"""


def test_ctrl_c_ends_all_processes() -> None:
    place = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": place},
        start_new_session=True,
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() != 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
