"""The fault catalogue: complete, self-consistent, and in terms that other parts of vaelab know."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from vaelab.causes import CAUSES, FAMILIES, VISIBLE_IN
from vaelab.dialects import DIALECTS, canonical_config

SIZES = {"A": 9, "B": 12, "C": 14, "D": 18, "E": 13, "F": 8, "G": 5, "H": 7, "I": 6}


def test_all_92_rows_are_there_under_stable_ids() -> None:
    assert Counter(c.family for c in CAUSES.values()) == SIZES
    assert set(FAMILIES) == set(SIZES)
    assert list(CAUSES) == [f"{family}{i}" for family, n in SIZES.items() for i in range(1, n + 1)]
    assert len({c.name for c in CAUSES.values()}) == 92


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_cause_says_all_that_a_report_needs(cause) -> None:  # type: ignore[no-untyped-def]
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cause.name)
    assert cause.visible and set(cause.visible) <= set(VISIBLE_IN)
    for text in (cause.signature, cause.test, cause.fix.text, cause.expected, cause.falsify):
        assert text.endswith(".") and "  " not in text
    assert not cause.title.endswith(".")
    assert cause.sources and cause.prior in (0.5, 1.0, 2.0, 3.0)
    assert cause.look_alikes
    for other, how in cause.look_alikes:
        assert other in CAUSES and other != cause.id and how
    assert canonical_config(dict(cause.fix.options)).keys() == cause.fix.options.keys()


def test_what_is_no_fault_is_marked_so() -> None:
    assert [c.id for c in CAUSES.values() if not c.fault] == ["C8", "C13", "D5", "D17"]


def test_known_faults_of_trainers_are_causes() -> None:
    for trainer in DIALECTS.values():
        for fault in trainer.known_faults:
            assert fault.cause in CAUSES
