"""Every severe fault of public trainers: our code passes its check, and fails it when the fault is put back.

The faults are listed in docs/faults.md; the checks and the ways to put them back are in the folder faults.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from faults import data, networks, ranks, schedule, state, update
from faults.fault import Fault

torch.set_num_threads(1)

FAULTS: list[Fault] = [f for family in (update, schedule, networks, data, state, ranks) for f in family.FAULTS]
SEVERE = [
    "PF-1",
    "PF-3",
    "PF-4",
    "PF-6",
    "PF-10",
    "RD-1",
    "RD-2",
    "RD-6",
    "RD-9",
    "TT-2",
    "LPIPS-NaN",
    "VT-1",
    "VT-2",
    "VT-3",
    "VT-5",
    "WF-1",
    "WF-2",
    "WF-3",
    "WF-4",
    "WF-5",
    "WF-10",
    "OS-1",
    "OS-6",
    "SV-1",
    "DF-1",
    "DF-3",
    "DF-4",
    "DF-5",
    "DF-8",
    "MV-1",
    "MV-2",
    "MV-3",
    "CS-1",
    "CS-3",
]
NOT_OURS = {"PF-10"}  # there is no context parallelism
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"


@pytest.mark.parametrize("check", dict.fromkeys(fault.check for fault in FAULTS), ids=lambda check: check.__name__)
def test_the_fault_is_absent(check) -> None:  # type: ignore[no-untyped-def]
    check()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.id}: {fault.about}")
def test_the_check_fails_when_the_fault_is_put_back(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.put_back(monkeypatch)
    with pytest.raises(AssertionError):
        fault.check()


def test_every_severe_fault_is_put_back_and_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ([A-Z0-9][\w.-]+) \| .*`(check_\w+)`", text, re.MULTILINE))
    assert rows == {(fault.id, fault.check.__name__) for fault in FAULTS}
    assert set(SEVERE) - {fault.id for fault in FAULTS} == NOT_OURS
    assert all(name in text for name in NOT_OURS)
