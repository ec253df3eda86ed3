"""JSON and SARIF: valid against their schemas, no bare NaN, and the published schema is the one in use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from helpers_report import empty_diagnosis, hostile_diagnosis, make_diagnosis
from vaelab.cli.app import app
from vaelab.report import to_dict, to_json, to_sarif
from vaelab.report.json_report import jsonable
from vaelab.report.schema import json_schema
from vaelab.rules.base import Rule

RELEASED = Path(__file__).parent / "data" / "schema-1.txt"


def _no_constant(name: str) -> Any:
    raise AssertionError(f"bare {name} in JSON")


def _fields(schema: dict[str, Any]) -> set[str]:
    """Each field of ``schema`` as one line: the object's name, the field's name, its type (of an enum not the words)."""
    objects = {"Document": schema, **schema["$defs"]}
    return {
        re.sub(r'"enum": \[[^]]*\]', '"enum"', f"{name}.{field} {json.dumps(kind)}")
        for name, described in objects.items()
        for field, kind in described["properties"].items()
    }


def test_no_field_of_the_released_schema_was_changed_or_removed() -> None:
    """One that was needs ``vaelab.diagnosis/2``. Fields that are new in a release are added to the file with it."""
    assert set(RELEASED.read_text(encoding="utf-8").splitlines()) <= _fields(json_schema())


def test_the_schema_is_printed() -> None:
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout) == json_schema()


@pytest.mark.parametrize("make", [make_diagnosis, hostile_diagnosis, empty_diagnosis])
def test_the_output_validates_and_has_no_bare_nan(make: Any) -> None:
    document = json.loads(to_json([make()]), parse_constant=_no_constant)
    jsonschema.validate(document, json_schema())


def test_the_shape_that_others_rest_on() -> None:
    document = to_dict([make_diagnosis(), empty_diagnosis()])
    assert document["schema"] == "vaelab.diagnosis/1"
    run, empty = document["runs"]
    assert (run["source"], run["dialect"], run["status"]) == ("logs/train.log", "pyramid_flow", "stop")
    assert run["facts"]["algebra"]["pixel_weight"]["value"] == 10.0
    assert run["facts"]["units"]["kl_per_element"]["low"] == 0.1
    assert run["metrics"][1]["natural_now"] == 33.6
    finding = run["findings"][0]
    assert (finding["code"], finding["severity"], finding["first_step"]) == ("V101", "critical", 1000)
    assert finding["evidence"][0] == {
        "name": "KL share of total", "value": 97.3, "unit": "%", "step": 1000, "line": 105,
        "text": "KL share of total 97.3% (step 1,000, line 105)", "note": None,
    }  # fmt: skip
    cause = run["causes"][0]
    assert (cause["id"], cause["for"], cause["against"]) == ("C2", ["V101", "R102"], [])
    assert cause["fix"]["patch"] == ["--kl_weight 1e-6"]
    assert run["next"][0]["command"].startswith("vaelab diagnose")
    assert "Confidence 83%" in run["message"]
    assert (empty["first_step"], empty["findings"]) == (None, [])


def test_a_number_that_is_not_finite_is_null_with_a_note() -> None:
    run = to_dict([hostile_diagnosis()])["runs"][0]
    evidence = next(f for f in run["findings"] if f["code"] == "Z999")["evidence"]
    assert [(e["value"], e["note"]) for e in evidence] == [(None, "value is NaN"), (None, "value is -inf")]
    assert run["metrics"][-1]["note"] == "first is NaN; now is inf"


def test_config_values_of_any_type_become_json() -> None:
    value = {"a": float("nan"), 1: (1, 2.5, None, True), "path": Path("x")}
    assert jsonable(value) == {"a": "NaN", "1": [1, 2.5, None, True], "path": "x"}


class KlDominates(Rule):
    """The weighted KL outweighs the weighted reconstruction.

    What it checks: the share of the KL in the total.
    """

    code = "V101"
    name = "kl-dominates"

    def check(self, facts: Any) -> list[Any]:
        return []


def test_sarif_points_at_the_line_in_the_log() -> None:
    document = json.loads(to_sarif([make_diagnosis()], [KlDominates], "1.2.3"), parse_constant=_no_constant)
    (run,) = document["runs"]
    assert document["version"] == "2.1.0" and run["tool"]["driver"]["version"] == "1.2.3"
    rules = run["tool"]["driver"]["rules"]
    assert rules[0]["shortDescription"]["text"] == "The weighted KL outweighs the weighted reconstruction."
    by_id = {r["ruleId"]: r for r in run["results"]}
    assert {k: r["level"] for k, r in by_id.items()} == {
        "V101": "error", "R102": "warning", "D103": "warning", "O104": "note",
    }  # fmt: skip
    assert all(rules[r["ruleIndex"]]["id"] == k for k, r in by_id.items())
    location = by_id["V101"]["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "logs/train.log"}, "region": {"startLine": 105}}
    # no evidence with a line: the line of the finding's metric at its first step
    assert by_id["D103"]["locations"][0]["physicalLocation"]["region"] == {"startLine": 251}


def test_sarif_quotes_odd_paths() -> None:
    document = json.loads(to_sarif([hostile_diagnosis()], []), parse_constant=_no_constant)
    uri = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert "<" not in uri and " " not in uri
