"""explain(): every topic is found under all its names, an unknown one is answered with its neighbours."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vaelab.catalog import METRICS
from vaelab.causes import CAUSES
from vaelab.cli.app import app
from vaelab.config.options import OPTIONS
from vaelab.dialects import DIALECTS
from vaelab.errors import ConfigError
from vaelab.explain import explain, explain_in_run, explain_rule, first_sentence
from vaelab.rules import ALL_RULES
from vaelab.rules.base import Rule
from vaelab.run import Column, Run, Smoothing

SICK = Path(__file__).parents[1] / "examples/logs/radiodiff-collapse"


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


@pytest.mark.parametrize("name", METRICS)
def test_no_formula_is_given_twice(name: str) -> None:
    lines = next((s.lines for s in explain(METRICS[name].aliases[0]).sections if s.heading == "Formula"), ())
    assert len(set(lines)) == len(lines)
    assert "".join(lines).count("sum over all latent elements, mean over the batch") <= 1


def test_the_terminal_shows_the_usual_formulas_and_says_how_to_get_another() -> None:
    shown = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, ["explain", "rec_loss"]).stdout
    assert "more; --trainer NAME gives the one of a trainer" in shown


@pytest.mark.parametrize("word", ["kl_weight", "loss.kl_weight", "klloss_weight"])
def test_a_weight_is_explained_as_a_setting(word: str) -> None:
    explanation = explain(word)
    assert (explanation.kind, explanation.name) == ("metric" if word == "kl_weight" else "setting", "kl_weight")
    text = str(explanation)
    assert "loss.kl_weight: number >= 0; default 1e-06" in text
    assert "kl_loss (KL loss)" in text and "effective beta" in text and "C2 kl-weight-too-big" in text


@pytest.mark.parametrize("option", OPTIONS)
def test_every_setting_of_train_is_explained(option: str) -> None:
    assert option in str(explain(option)) or explain(option).kind == "metric"


def test_a_picture_shows_where_the_run_stands_in_each_unit() -> None:
    shown = (
        CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1"}).invoke(app, ["explain", "kl_loss", "--run", str(SICK)]).stdout
    )
    nats, logged = (part.splitlines() for part in shown.split("Where this run stands")[1:3])
    assert logged[0] == ": kl_loss as logged, logarithmic" and nats[0] == ", in nats per latent element, logarithmic"
    assert logged[2].startswith("  5 refuted") and logged[2].endswith("above 5,000: outside")
    assert nats[2].startswith("  2 holds") and nats[2].endswith("below 0.05: inside")
    here = logged[1].index("●")
    assert logged[2][here] == "│" and logged[2].index("·") > here  # left of the band
    assert "5. REFUTED: KL above 5,000" in shown
    assert all(len(line) <= 80 for line in (*logged, *nats))


def test_a_run_with_one_value_or_a_negative_one_is_drawn_too() -> None:
    steps = np.array([0, 10], np.int64)
    for values in ([-3.0, -3.0], [0.0, 0.0], [5.0, 1e9]):
        column = Column("kl_loss", "kl_loss", np.array(values), np.array([True, True]))
        run = Run("a.log", "metric_logger", "unknown", 1.0, "", steps, {"kl_loss": column})
        assert "5 refuted" in str(explain_in_run("kl_loss", run))


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
        assert {"What it checks", "Why it matters", "What to do", "References"} <= headings


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


def test_of_a_folder_with_several_runs_it_says_which_one_it_drew() -> None:
    said = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["explain", "kl_loss", "--run", str(SICK.parent)]).stdout
    assert re.search(rf"{SICK.parent} holds \d+ runs; this is {SICK.parent}/\S+. Name one log", said)
