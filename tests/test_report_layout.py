"""What all reports share: order and nesting of findings, phase strip, downsampling, and no control characters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vaelab
from helpers_report import hostile_diagnosis, make_diagnosis, make_run
from vaelab.diagnosis import MetricVerdict, NextStep
from vaelab.facts.base import Phase
from vaelab.report.downsample import keep_extremes
from vaelab.report.evidence import levels
from vaelab.report.layout import (
    finding_tree,
    flatten,
    headline,
    markers,
    natural_text,
    needed,
    new_patch_lines,
    phase_weights,
    plain,
    shown_phases,
    skipped_by_missing,
)
from vaelab.rules.base import Finding

CODES = st.sampled_from(["A1", "B2", "C3", "D4", None])
FINDINGS = st.lists(
    st.builds(
        lambda code, severity, by: Finding(code, "name", severity, "text", explained_by=by),
        CODES.filter(bool), st.sampled_from(["info", "warn", "critical"]), CODES,
    ),
    max_size=12,
)  # fmt: skip


@given(FINDINGS)
def test_every_finding_is_shown_exactly_once_whatever_explains_what(findings: list[Finding]) -> None:
    shown = [node.finding for _, node in flatten(finding_tree(findings))]
    assert sorted(map(id, shown)) == sorted(map(id, findings))


def test_a_finding_stands_under_the_one_that_explains_it() -> None:
    rows = [(depth, node.finding.code) for depth, node in flatten(finding_tree(make_diagnosis().findings))]
    assert rows == [(0, "V101"), (1, "R102"), (0, "D103"), (0, "O104")]


def test_a_finding_explained_by_a_cause_stays_on_top_and_says_so() -> None:
    (node,) = finding_tree([Finding("A1", "name", "warn", "text", explained_by="C2")])
    assert node.follows_from == "C2"


@given(st.text())
def test_plain_text_has_no_terminal_escapes(text: str) -> None:
    assert not any((c < " " and c not in "\t\n") or c == "\x1b" for c in plain(text))


def test_markers_name_the_gan_start_and_the_resume() -> None:
    assert [(m.label, m.step) for m in markers(make_diagnosis())] == [("GAN start", 4000), ("resume", 7000)]
    assert [m.label for m in markers(hostile_diagnosis())] == ["resume", "GAN start"]


def test_the_whole_run_is_a_phase_only_where_there_is_no_finer_one() -> None:
    whole = Phase("whole", "whole run", 0, 100, 0, 10)
    part = Phase("vae-only", "VAE only", 0, 100, 0, 10)
    assert shown_phases(make_diagnosis(phases=(whole, part))) == [part]
    assert shown_phases(make_diagnosis(phases=(whole,))) == [whole]


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=12), st.integers(20, 200))
def test_the_phase_strip_fills_its_width(spans: list[int], width: int) -> None:
    phases = [Phase("gan", "x", 0, span, 0, 0) for span in spans]
    cells = phase_weights(phases, width)
    assert all(n >= 1 for n in cells)
    assert sum(cells) == max(width, 2 * len(spans))


def test_skipped_rules_are_grouped_by_what_they_miss() -> None:
    groups = [(missing, [s.code for s in rules]) for missing, rules in skipped_by_missing(make_diagnosis().skipped)]
    assert groups == [(("latents_std",), ["L201", "L202"]), (("val/rec_loss",), ["E301"])]


@given(st.lists(st.floats(-1e6, 1e6), max_size=400), st.integers(4, 60))
def test_downsampling_keeps_ends_and_extremes(values: list[float], limit: int) -> None:
    array = np.array(values, np.float64)
    kept = keep_extremes(array, limit)
    assert len(kept) <= max(limit, 0)
    assert np.all(np.diff(kept) > 0)
    if len(array):
        assert {0, len(array) - 1} <= set(kept.tolist())
        assert array[kept].min() == array.min() and array[kept].max() == array.max()


def test_a_spike_of_one_row_in_a_million_survives() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 9.0
    assert 654_321 in keep_extremes(values, 2000)


def test_runs_without_rows_have_no_markers() -> None:
    assert markers(make_diagnosis(make_run(0, events=()), phases=())) == []


def test_needs_are_said_in_words() -> None:
    assert needed("gan-active") == "an active GAN"
    assert needed("lr|config") == "lr or the run's settings"


def test_the_status_word_is_not_said_twice() -> None:
    assert headline(make_diagnosis(status="healthy", headline="Healthy in the GAN phase: calm.")) == (
        "In the GAN phase: calm."
    )
    assert headline(make_diagnosis(status="stop", headline="Stop: the KL is gone.")) == "the KL is gone."


def test_a_change_that_two_causes_ask_for_is_given_once() -> None:
    steps = (NextStep("a", ("--lr 1", "--kl 2")), NextStep("b", ("--kl 2",)), NextStep("c", ("--kl 3",)))
    assert new_patch_lines(steps) == [("--lr 1", "--kl 2"), (), ("--kl 3",)]


def test_a_bound_does_not_read_as_an_interval() -> None:
    def text(name: str) -> str:
        return natural_text(
            MetricVerdict(
                "rec_loss", "rec_loss", "good", 1.0, 0.5, 0.5, 0.5, 1.0, "falling",
                natural_name=name, natural_unit="dB", natural_first=4.1, natural_now=11.6,
            )
        )  # fmt: skip

    assert text("PSNR at least") == "PSNR at least 4.1, now 11.6 dB"
    assert text("PSNR") == "PSNR 4.1 to 11.6 dB"


def test_the_plot_of_a_finding_shows_from_where_it_is_critical() -> None:
    """ADV307 is critical from 1.8 times the level before the GAN (``vaelab.rules.harm``)."""
    d = vaelab.diagnose(vaelab.read(str(Path(__file__).parents[1] / "examples/logs/pyramid-flow-gan-weight/train.log")))
    limit, before = levels(d, "rec_loss")
    assert limit.label == "critical from here: 1.8 times the level before the GAN" and limit.bad == "above"
    assert limit.value == pytest.approx(1.8 * before.value)
    assert all("critical" not in level.label for level in levels(d, "kl_loss"))
