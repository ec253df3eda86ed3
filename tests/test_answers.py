"""Questions are answered first and explained after, and a run that has ended is not told to carry on."""

from __future__ import annotations

from pathlib import Path

import pytest

import vaelab
from vaelab.diagnosis import Diagnosis

LOGS = Path(__file__).parent.parent / "examples" / "logs"


def diagnosed(name: str) -> Diagnosis:
    return vaelab.diagnose(vaelab.read(LOGS / name))


def answers(diagnosis: Diagnosis) -> dict[str, str]:
    return {q.question: q.answer for q in diagnosis.questions}


@pytest.mark.parametrize(
    ("log", "question", "start"),
    [
        ("radiodiff-collapse", "Is my KL too large (or too small)?", "Far too small: KL201"),
        ("radiodiff-collapse", "Is my reconstruction loss good?", "No"),
        ("pyramid-flow-healthy", "Is my reconstruction loss good?", "Against its own start, yes."),
        ("radiodiff-healthy-no-gan-yet", "Why is disc_loss 0.0?", "Because the GAN is off"),
        ("pyramid-flow-healthy", "Should I stop or change something?", "No: nothing"),
        ("pyramid-flow-gan-weight", "Should I stop or change something?", "The run has ended; change this"),
    ],
)
def test_the_answer_comes_first(log: str, question: str, start: str) -> None:
    assert answers(diagnosed(log))[question].startswith(start)


def test_no_answer_is_given_twice() -> None:
    given = [q.answer for q in diagnosed("radiodiff-healthy-no-gan-yet").questions]
    assert len(given) == len(set(given))


def test_names_keep_their_capitals() -> None:
    assert "The KL weight is too big" in answers(diagnosed("radiodiff-collapse"))["Should I stop or change something?"]


def test_a_run_that_has_ended_is_not_told_to_carry_on() -> None:
    step = diagnosed("pyramid-flow-healthy").next[0]
    assert "complete" in step.text and "Carry on" not in step.text
