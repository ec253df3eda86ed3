"""The line in a plot from which a finding is critical lies where the one policy of severity says it is."""

from __future__ import annotations

from functools import cache

import pytest

import test_rules_fire  # noqa: F401 - registers its cases
from rule_runs import CASES
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.report.limits import UNITS, limit
from vaelab.rules.base import Finding
from vaelab.rules.harm import HARM
from vaelab.rules.severity import critical_from

# KL221 is measured on a checkpoint, and the column of MET1002's run is a score
DRAWN = sorted({code for code, harm in HARM.items() if harm.unit in UNITS and code in CASES} - {"KL221", "MET1002"})


@cache
def judged(code: str) -> tuple[Diagnosis, Finding]:
    diagnosis = diagnose(CASES[code].build().run(), select=[code])
    return diagnosis, next(f for f in diagnosis.findings if f.code == code)


def test_every_unit_that_is_drawn_is_one_of_a_finding() -> None:
    assert set(UNITS) <= {harm.unit for harm in HARM.values()}


@pytest.mark.parametrize("code", DRAWN)
def test_the_column_is_beyond_the_line_where_the_size_is_critical(code: str) -> None:
    diagnosis, finding = judged(code)
    times = critical_from(code, finding.subject)
    lines = {m: line for m in diagnosis.run if (line := limit(diagnosis, finding, m))}
    ((metric, line),) = lines.items()
    assert finding.size is not None
    series = diagnosis.facts.tracks[metric].series
    # of a peak the size is that of its highest rows
    reached = float(series.values.max()) if HARM[code].unit.startswith("peak") else series.now
    beyond = reached >= line.value if line.bad == "above" else reached <= line.value
    assert beyond == (finding.size >= times), (finding, line, reached)


@pytest.mark.parametrize(
    ("code", "metric", "label"),
    [
        ("KL205", "rec_loss", "critical from here: 2.5 times the first level"),
        ("ADV311", "disc_loss", "critical from here: 1.4 times chance"),
        ("KL206", "kl_loss", "critical from here: 50 nats an input value"),
        ("KL209", "kl_loss", "critical below: 0.3% of the level it held"),
        ("KL214", "latent_active_share", "critical below: 75% of the channels"),
        ("REC115", "val/rec_loss", "critical from here: 2.5 times the training error"),
    ],
)
def test_the_line_says_what_it_is_and_stands_in_the_column_that_the_size_is_of(
    code: str, metric: str, label: str
) -> None:
    diagnosis, finding = judged(code)
    assert {m: line.label for m in diagnosis.run if (line := limit(diagnosis, finding, m))} == {metric: label}


def test_a_score_of_which_more_is_better_has_no_line_of_an_error() -> None:
    diagnosis, finding = judged("MET1002")
    assert diagnosis.facts.tracks["ssim"].role.better == "up" and limit(diagnosis, finding, "ssim") is None


def test_a_line_relative_to_an_earlier_level_begins_with_the_finding() -> None:
    diagnosis, finding = judged("ADV307")
    line = limit(diagnosis, finding, "rec_loss")
    assert line is not None and finding.first_step and line.since == finding.first_step
    diagnosis, finding = judged("KL206")
    line = limit(diagnosis, finding, "kl_loss")
    assert line is not None and finding.first_step and line.since is None
