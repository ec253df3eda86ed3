"""Logs of many trainers, made by people who did not know the readers and rules, with what is true of each.

``tests/data/examined_cases.tar.xz`` holds a folder a case: inputs in the format of a public trainer or of a user's thread, healthy or with
a fault, and ``expect.json`` with checks. Truth comes from the trainer's code or the thread's resolution, never from what vaelab said.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vaelab.diagnosis import diagnose
from vaelab.errors import LogError
from vaelab.readers import read_all
from vaelab.report.json_report import to_dict
from vaelab.run import Run

ARCHIVE = Path(__file__).parent / "data" / "examined_cases.tar.xz"
ORDER = ["healthy", "cannot-tell", "watch", "act", "stop"]
SAID = ("headline", "message", "phases", "facts", "findings", "causes", "next", "questions", "positive", "expectations")
SETTINGS = (".yaml", ".yml", ".json", ".toml", ".sh", ".py")
OPEN = {
    ("b03-encodec", "kept visqol"): "it stands in a line of an evaluation and is kept as val/visqol",
    (
        "b12-llamagen27",
        "role Train Loss",
    ): "the printed sum holds the discriminator's terms: it is no total of the generator",
    ("b23-dome16", "role GAN_Loss"): "a loss of two columns whose names say something else; nothing in the log tells",
    ("b23-dome16", "not_role VQ_Loss"): "the same",
}
"""Checks that do not hold, and why."""


def names() -> list[str]:
    with tarfile.open(ARCHIVE) as archive:
        return sorted({member.name.split("/")[0] for member in archive.getmembers()})


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examined")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def plain(name: str) -> str:
    name = re.sub(r"[\s_-]+", "_", name.strip().lower())
    while name.startswith("train/"):
        name = name[6:]
    return re.sub(r"(?<=.)_(step|epoch)$", "", name)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= 1e-6 * max(abs(a), abs(b))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


class Input:
    """One input file under a neutral name, with the settings of its case beside it."""

    def __init__(self, file: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        for other in file.parent.iterdir():
            if other.suffix in SETTINGS and other.name != "expect.json" and other != file:
                shutil.copy(other, folder)
        log = Path(shutil.copy(file, folder / f"train{file.suffix}"))
        try:
            self.runs: list[Run] = read_all(log)
        except LogError:
            self.runs = []
        self.told: list[dict[str, Any]] = to_dict([diagnose(run) for run in self.runs])["runs"]

    def columns(self, name: str) -> list[tuple[Run, str]]:
        return [(run, c.name) for run in self.runs for c in run.columns.values() if plain(c.original) == plain(name)]

    def values(self, column: str, step: Any) -> list[float]:
        found = [(run, column) for run in self.runs if column in run] or self.columns(column)
        values: list[float] = []
        for run, name in found:
            rows = run.rows(name)
            if step in ("first", "last"):
                rows = rows[:1] if step == "first" else rows[-1:]
            elif run.step_unit != "record":
                rows = [row for row in rows if int(run.steps[row]) in listed(step)]
            values += [float(run[name][row]) for row in rows]
        return values

    def holds(self, check: dict[str, Any]) -> bool:
        kind, column = check["type"], check.get("column", "")
        if kind == "readable":
            return bool(self.runs)
        if kind in ("rows", "step_range"):
            if len(self.runs) != 1:
                return False
            (run,) = self.runs
            if kind == "rows":
                return len(run) in listed(check["n"])
            ends = (run.steps[0], check["first"]), (run.steps[-1], check["last"])
            return all(wanted is None or int(end) in listed(wanted) for end, wanted in ends)
        if kind in ("role", "not_role"):
            found = {name for _, name in self.columns(column)}
            wanted = set(listed(check["metric"]))
            return bool(found & wanted) if kind == "role" else not (found if "*" in wanted else found & wanted)
        if kind == "kept":
            return bool(self.columns(column)) or any(repr(column) in n.text for run in self.runs for n in run.notes)
        if kind == "value":
            return any(same(value, float(check["value"])) for value in self.values(column, check["step"]))
        if not self.told:
            return False
        worst = max(self.told, key=lambda run: ORDER.index(run["status"]))
        if kind == "status":
            return worst["status"] in check["ok"]
        if kind in ("cause", "not_cause"):
            first = [c["id"] for c in worst["causes"]][: check.get("top", 3 if kind == "cause" else 1)]
            return bool(set(first) & set(check["any"])) if kind == "cause" else not set(first) & set(check["ids"])
        assert kind in ("says", "not_says"), kind
        said = "\n".join(text for run in self.told for part in SAID for text in texts(run.get(part)))
        return bool(re.search(check["regex"], said, re.IGNORECASE)) == (kind == "says")


@pytest.mark.parametrize("name", names())
def test_what_is_true_of_the_case_is_read_and_said(name: str, cases: Path, tmp_path: Path) -> None:
    inputs: dict[str, Input] = {}
    failed = set()
    for check in json.loads((cases / name / "expect.json").read_text())["checks"]:
        file = check["file"]
        if file not in inputs:
            inputs[file] = Input(cases / name / file, tmp_path / str(len(inputs)))
        if not inputs[file].holds(check):
            failed.add(
                f"{check['type']} {check.get('column', check.get('ok', check.get('any', check.get('regex', ''))))}"
            )
    assert failed == {what for case, what in OPEN if case == name}
