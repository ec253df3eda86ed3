"""Pages of probes and evaluations: the verdict first, every clip as a dot, pictures beside the page, nothing of a name is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

import test_html_browser
from helpers_report import HOSTILE, hostile_diagnosis, make_diagnosis
from test_html_browser import complaints
from vaelab.report.dot_strip import WIDTH, dot_strip
from vaelab.report.measured_page import Measured, measured_page

browser = test_html_browser.browser
VALUES = [np.array([30.0, 20.0, np.nan, 25.0]), np.array([31.0, 22.0, 28.0, 10.0])]


def positions(svg: Markup) -> list[float]:
    return [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_every_clip_is_a_dot_in_the_order_of_its_value_and_the_worst_is_named() -> None:
    svg = dot_strip("PSNR", "dB", "higher", VALUES, ["a", "b", "c", "d"], ["raw", "EMA"])
    assert len(positions(svg)) == 7
    a, b, d = positions(svg)[:3]
    assert b < d < a
    assert "raw: worst b (20); EMA: worst d (10)" in svg and "higher is better" in svg


def test_a_ratio_is_worst_where_it_is_farthest_from_one() -> None:
    svg = dot_strip("fine detail", "", "near 1", [np.array([0.2, 0.9, 1.5])], ["a", "b", "c"], ["raw"])
    assert "worst a (0.2)" in svg and "stroke-dasharray" in svg


@pytest.mark.parametrize("values", [[], [np.full(3, np.nan)]])
def test_a_score_that_no_clip_has_is_no_plot(values: list[Any]) -> None:
    assert dot_strip("LPIPS", "", "lower", values, ["a", "b", "c"], ["raw"]) == ""


def test_one_value_only_is_drawn() -> None:
    assert positions(dot_strip("MSE", "", "lower", [np.zeros(1)], ["a"], ["raw"])) == [pytest.approx(WIDTH / 2, abs=1)]


def test_a_page_begins_with_the_verdict_and_runs_nothing_of_others(browser: Any, tmp_path: Path) -> None:
    plot = dot_strip(HOSTILE, HOSTILE, "higher", VALUES, [HOSTILE] * 4, [HOSTILE, "b"])
    content = Measured(
        HOSTILE, [(HOSTILE, hostile_diagnosis()), ("b", make_diagnosis())], [plot], plot, [],
        [(HOSTILE, [HOSTILE], [[HOSTILE]], HOSTILE)], [HOSTILE],
    )  # fmt: skip
    (tmp_path / "page.html").write_text(measured_page(content), "utf-8")
    browser.get_log("browser")
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.execute_script("return window.hacked") is None and complaints(browser) == []
    tops = "return [...document.querySelectorAll('h1.verdict, .change, h2')].map((e) => e.getBoundingClientRect().top)"
    assert browser.execute_script(tops) == sorted(browser.execute_script(tops))
    assert "window.hacked" in browser.find_element("css selector", "h1.verdict").text


def test_on_a_phone_words_and_numbers_of_tables_are_whole_and_long_tables_are_folded(
    browser: Any, tmp_path: Path
) -> None:
    rows = [["-0.009591", "the posterior's mean", "23.68 (21.2 to 26.2)", "50.24 (49.8 to 50.8)"]]
    header = ["mean", "noise", "against the clip", "against the output"]
    content = Measured(
        "a", [("a", make_diagnosis())], [], None, [], [("Short", header, rows, ""), ("Long", header, 30 * rows, "")]
    )
    (tmp_path / "page.html").write_text(measured_page(content), "utf-8")
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get((tmp_path / "page.html").as_uri())
    lines = """return [...document.querySelectorAll('table')].slice(0, 1).flatMap((t) => [...t.querySelectorAll('td')]).map((td) => {
      const range = document.createRange(); range.selectNodeContents(td); return range.getClientRects().length; })"""
    assert browser.execute_script(lines) == [1, 1, 1, 1]
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    assert browser.execute_script("return [...document.querySelectorAll('summary')].map((e) => e.innerText.trim())")[
        -1:
    ] == ["Long"]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
