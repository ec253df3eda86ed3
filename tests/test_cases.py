"""Real logs of public trainers' code with known truth: nothing sick is called healthy, nothing healthy is stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vaelab

CASES = Path(__file__).parent / "data/cases"
TRUTHS = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(CASES.glob("*.json"))}


def diagnose(name: str) -> vaelab.Diagnosis:
    (log,) = [p for p in CASES.iterdir() if p.name.startswith(name + ".") and p.suffix == ".gz"]
    return vaelab.diagnose(vaelab.read(log))


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "faulty"])
def test_a_planted_fault_is_acted_on_and_its_cause_comes_first(name: str) -> None:
    diagnosis = diagnose(name)
    assert diagnosis.status in ("act", "stop")
    assert diagnosis.causes[0].id in TRUTHS[name]["causes"]
    assert any(f.severity == "critical" and f.evidence for f in diagnosis.findings)


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "healthy"])
def test_a_healthy_run_is_neither_stopped_nor_acted_on(name: str) -> None:
    diagnosis = diagnose(name)
    assert diagnosis.status in ("healthy", "watch")
    assert not [f for f in diagnosis.findings if f.severity == "critical"]


@pytest.mark.parametrize("name", [n for n, t in TRUTHS.items() if t["label"] == "informational"])
def test_a_remarkable_run_is_watched(name: str) -> None:
    diagnosis = diagnose(name)
    assert diagnosis.status == "watch"
    for cause in TRUTHS[name]["causes"]:
        assert cause in [c.id for c in diagnosis.causes]


@pytest.mark.parametrize("name", list(TRUTHS))
def test_identities_close_and_findings_name_real_steps(name: str) -> None:
    diagnosis = diagnose(name)
    assert [i.status for i in diagnosis.facts.algebra.identities].count("does-not-close") == 0
    last = int(diagnosis.run.steps[-1])
    for finding in diagnosis.findings:
        for step in (finding.first_step, finding.last_step):
            assert step is None or 0 <= step <= last
        for evidence in finding.evidence:
            assert evidence.line is None or evidence.line > 0


@pytest.mark.parametrize("name", ["radiodiff-run-1b848f", "pyramid_flow-run-8f097c", "radiodiff-run-0ac0a7"])
def test_the_onset_of_a_mid_run_fault_is_found_within_one_logged_row(name: str) -> None:
    onset = TRUTHS[name]["fault_onset_step"]
    steps = [f.first_step for f in diagnose(name).findings if f.code in ("MET1002", "DAT701", "OPT404")]
    assert steps and all(step is not None and onset <= step <= onset + 10 for step in steps)
