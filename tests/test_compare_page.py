"""The page of many runs in a real browser: it sorts, filters, groups, turns pages, and lays marked runs over each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

import test_html_browser
from helpers_report import HOSTILE
from test_compare import diagnosis
from test_html_browser import complaints
from vaelab.report.compare_page import compare_page
from web_helpers import wait

browser = test_html_browser.browser


@pytest.fixture(scope="module")
def page() -> str:
    """120 runs; kl_weight grows with the number, and the rate with it, every second one says its batch size."""
    runs = []
    for i in range(120):
        more = {"lr": (i + 1) * 4.5e-7} | ({"batch_size": 8} if i % 2 else {})
        name = f"runs/run-{i}/train.log" if i else f"runs/{HOSTILE.replace('/', '')}/train.log"
        runs.append(diagnosis(name, rec=0.001 * (1 + i % 7), kl_weight=(i + 1) * 1e-12, **more))
    return compare_page([replace(d, status="stop" if i == 50 else "healthy") for i, d in enumerate(runs)])


@pytest.fixture
def opened(browser: Any, tmp_path: Path, page: str) -> Any:
    (tmp_path / "compare.html").write_text(page, "utf-8")
    browser.get_log("browser")
    browser.get((tmp_path / "compare.html").as_uri())
    wait(lambda: browser.execute_script("return Boolean(window.vaelab)"))
    return browser


def names(browser: Any) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('#runs .of-run')].map((td) => td.textContent)")


def click(browser: Any, text: str) -> None:
    script = "[...document.querySelectorAll('button')].find((b) => b.textContent.startsWith(arguments[0])).click()"
    browser.execute_script(script, text)


def choose(browser: Any, select: str, value: str) -> None:
    script = (
        "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    )
    browser.execute_script(script, select, value)


def test_it_begins_with_the_worst_run_and_draws_it(opened: Any) -> None:
    assert names(opened)[0] == "run-50" and len(names(opened)) == 50
    assert "1 stop" in opened.find_element(By.TAG_NAME, "h1").text
    assert "run-50" in opened.find_element(By.ID, "readout").text
    assert complaints(opened) == [] and opened.execute_script("return window.hacked") is None


def test_a_column_sorts_by_number_both_ways(opened: Any) -> None:
    click(opened, "kl_weight")
    assert names(opened)[1:3] == ["run-1", "run-2"]
    click(opened, "kl_weight")
    assert names(opened)[:2] == ["run-119", "run-118"]
    assert opened.find_element(By.CSS_SELECTOR, "[aria-sort=descending]").text.startswith("kl_weight")


def test_pages_turn(opened: Any) -> None:
    click(opened, "run")
    click(opened, "Next")
    click(opened, "Next")
    assert len(names(opened)) == 20 and names(opened)[-1] == "run-119"
    assert "page 3 of 3" in opened.find_element(By.ID, "pages").text


def test_runs_are_filtered_and_grouped(opened: Any) -> None:
    opened.find_element(By.ID, "filter").send_keys("run-11")
    wait(lambda: len(names(opened)) == 11)
    choose(opened, "group", "status")
    groups = [th.text for th in opened.find_elements(By.CSS_SELECTOR, "#runs .group th")]
    assert len(groups) == 1 and groups[0].startswith("status: ") and groups[0].endswith("(11)")


def test_curves_lie_over_each_other_by_step_and_by_samples(opened: Any) -> None:
    last: Callable[[], float] = lambda: opened.execute_script("return vaelab.state.plot.data[0].at(-1)")  # noqa: E731
    assert last() == 1990
    choose(opened, "axis", "samples")
    assert last() == 8 * 1990
    assert "Not drawn: run-50" in opened.find_element(By.ID, "left-out").text
    choose(opened, "metric", "kl_loss")
    assert 36_000 < opened.execute_script("return vaelab.state.plot.data[1].find((v) => v != null)") < 38_500


def test_short_settings_stand_in_one_line_and_stars_are_explained(opened: Any) -> None:
    lines = """return [...document.querySelectorAll('#runs td')].filter((td) => /^[\\d.e-]+$/.test(td.textContent)).map((td) => {
      const range = document.createRange(); range.selectNodeContents(td); return range.getClientRects().length; })"""
    assert set(opened.execute_script(lines)) == {1}
    stars = opened.execute_script(
        "return [...document.querySelectorAll('#runs th')].filter((th) => th.textContent.includes('*')).length"
    )
    assert stars > 0 and "* not comparable" in opened.execute_script("return document.body.innerText")
