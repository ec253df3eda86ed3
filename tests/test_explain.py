"""explain(): every topic is found under all its names, an unknown one is answered with its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from vaelab.catalog import METRICS
from vaelab.causes import CAUSES
from vaelab.dialects import DIALECTS
from vaelab.errors import ConfigError
from vaelab.explain import explain, explain_in_run, explain_rule, first_sentence
from vaelab.rules import ALL_RULES
from vaelab.rules.base import Rule
from vaelab.run import Column, Run, Smoothing


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_explained_under_each_of_its_names(name: str) -> None:
    for alias in METRICS[name].aliases:
        explanation = explain(alias)
        assert (explanation.kind, explanation.name) in (("metric", name), ("trainer", alias))


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_explained_by_id_and_by_name(name: str) -> None:
    assert explain(name) == explain(name.lower()) == explain(CAUSES[name].name)
    assert CAUSES[name].advice in str(explain(name))


@pytest.mark.parametrize("name", [t for t in DIALECTS if t != "unknown"])
def test_a_trainer_is_explained(name: str) -> None:
    explanation = explain(name.replace("_", "-"))
    assert explanation.kind == "trainer" and explanation.sections


def test_the_formula_is_that_of_the_trainer() -> None:
    all_of_them = str(explain("kl_loss"))
    pyramid_flow = str(explain("kl_loss", "pyramid-flow"))
    assert DIALECTS["pyramid_flow"].formulas["kl_loss"] in pyramid_flow
    assert DIALECTS["ldm"].formulas["kl_loss"] in all_of_them
    assert DIALECTS["ldm"].formulas["kl_loss"] not in pyramid_flow


def test_bands_come_with_condition_and_standing() -> None:
    text = str(explain("kl_loss"))
    assert "REFUTED: KL 200 to 800 is excellent (Pyramid-Flow, 17 frames of 256x256, 16 channels)" in text


def test_validation_columns_are_explained_as_their_metric() -> None:
    assert explain("val/rec_loss").name == "rec_loss"


@pytest.mark.parametrize(
    ("wrong", "right"), [("dweigth", "d_weight"), ("kl-weight-to-big", "kl-weight-too-big"), ("C22", "C2")]
)
def test_an_unknown_topic_names_the_closest(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=right):
        explain(wrong)


def test_an_unknown_trainer_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="pyramid-flow"):
        explain("kl_loss", "pyramid")


def test_a_run_gives_the_trainer_and_its_values() -> None:
    steps = np.array([0, 10, 20], np.int64)
    values = np.array([5.0, np.nan, 3.0])
    column = Column("kl_loss", "kl_loss", values, np.isfinite(values), smoothing=Smoothing("window_median", 20))
    run = Run("a.log", "metric_logger", "pyramid_flow", 1.0, "", steps, {"kl_loss": column})
    text = str(explain_in_run("kld", run))
    assert "first 5 at step 0, last 3 at step 20" in text and "window median of 20" in text
    assert DIALECTS["pyramid_flow"].formulas["kl_loss"] in text
    assert "not in this log" in str(explain_in_run("d_weight", run))


def test_every_rule_is_explained_by_its_code() -> None:
    for rule in ALL_RULES:
        explanation = explain(rule.code.lower())
        assert (explanation.kind, explanation.name) == ("rule", rule.code)
        headings = {section.heading for section in explanation.sections}
        assert {"What it checks", "Why it matters", "Evidence it needs", "What to do", "References"} <= headings


class ExampleRule(Rule):
    """The KL falls to nothing.

    What it checks: nats per element.
    Over the last rows.

    ## Why it matters
    An empty latent.

    - one
    - two
    """

    code = "XX001"
    name = "kl-falls"
    needs = ("kl_loss",)

    def check(self, facts):  # type: ignore[no-untyped-def]
        return ()


def test_a_rule_is_explained_from_its_docstring() -> None:
    explanation = explain_rule(ExampleRule)
    assert explanation.title == "kl-falls: The KL falls to nothing."
    assert [(s.heading, s.lines) for s in explanation.sections] == [
        ("What it checks", ("nats per element. Over the last rows.",)),
        ("Why it matters", ("An empty latent.", "- one", "- two")),
        ("Columns and facts it needs", ("kl_loss",)),
    ]
    assert first_sentence(ExampleRule.documentation()) == "The KL falls to nothing"
