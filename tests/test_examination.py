"""The examination by authentic logs: its archive holds what its truths say, and a log of it is judged."""

from __future__ import annotations

import importlib.util
import json
import tarfile
from pathlib import Path

import pytest

from vaelab.causes import CAUSES

FILE = Path(__file__).parents[1] / "benchmarks/examination/score.py"
spec = importlib.util.spec_from_file_location("examination", FILE)
assert spec is not None and spec.loader is not None
examination = importlib.util.module_from_spec(spec)
spec.loader.exec_module(examination)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("examination")
    with tarfile.open(examination.ARCHIVE) as archive:
        archive.extractall(top, filter="data")
    return top


def test_every_truth_names_causes_that_there_are(folder: Path) -> None:
    truths = [t for file in folder.glob("*/truth.json") for t in json.loads(file.read_text())]
    names = {cause.name for cause in CAUSES.values()}
    assert {t["half"] for t in truths} == {"A", "B"} and {t["label"] for t in truths} == {
        "costly",
        "harmless",
        "healthy",
    }
    assert {name for t in truths for name in t["causes"]} <= names


def test_a_log_is_judged_and_counted(folder: Path) -> None:
    truths = json.loads((folder / "betavae/truth.json").read_text())
    frozen = next(t for t in truths if t["log"] == "logs/c5-frozen.log")
    run = examination.judged(folder / "betavae", frozen)
    assert run["status"] == "act" and run["said"][0] == "part-not-trained"
    assert examination.total("one", [run]).startswith("one: 1 costly, 1 acted on, right cause first 1, among three 1")
