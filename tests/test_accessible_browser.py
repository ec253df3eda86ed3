"""The pages without eyes or a mouse: what the browser's accessibility tree tells a screen reader, and the way of the Tab key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

import test_html_browser
from test_layout_browser import LOGS, collapse, compared
from vaelab.report import to_html
from web_helpers import server, wait

browser = test_html_browser.browser
NAMED = {"image", "button", "checkbox", "combobox", "searchbox", "switch", "slider", "link", "region", "navigation"}
DRAWN = "return [...document.querySelectorAll('.plot, #plot')].some((e) => e.querySelector('canvas'))"


@pytest.fixture(params=["report", "compare", "live"])
def opened(request: pytest.FixtureRequest, browser: Any, tmp_path: Path) -> Iterator[Any]:
    if request.param == "live":
        at = server(LOGS).start()
        browser.get(at.url)
    else:
        page = tmp_path / "page.html"
        page.write_text(to_html([collapse()]) if request.param == "report" else compared(), "utf-8")
        browser.get(page.as_uri())
    wait(lambda: browser.execute_script(DRAWN))
    yield browser
    browser.get("about:blank")
    if request.param == "live":
        at.stop()


def spoken(browser: Any) -> list[tuple[str, str]]:
    """Role and name of all that a screen reader meets."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]


def test_everything_has_a_name_and_the_headings_are_in_order(opened: Any) -> None:
    nodes = spoken(opened)
    assert [node for node in nodes if node[0] in NAMED and not node[1].strip()] == []
    shown = "[...document.querySelectorAll('h1, h2, h3, h4')].filter((h) => h.checkVisibility())"
    levels = opened.execute_script(f"return {shown}.map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(levels))
    roles = [role for role, _ in nodes]
    assert roles.count("main") == 1 and "columnheader" in roles and "rowheader" in roles


def test_a_plot_tells_its_last_value_and_what_was_found(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(to_html([collapse()]), "utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    wait(lambda: browser.execute_script(DRAWN))
    plot = next(name for role, name in spoken(browser) if role == "image" and name.startswith("KL loss"))
    assert plot.startswith("KL loss over steps 0 to 890: last 3.4") and "almost no information" in plot


def test_the_verdict_of_the_live_page_is_announced(browser: Any) -> None:
    at = server(LOGS / "radiodiff-collapse").start()
    browser.get(at.url)
    said = "return [...document.querySelectorAll('[role=status]')].map((e) => e.textContent).join(' ')"
    wait(lambda: "stop" in browser.execute_script(said))
    browser.get("about:blank")
    at.stop()


def test_the_tab_key_shows_where_it_is(opened: Any) -> None:
    here = """
      const e = document.activeElement, style = getComputedStyle(e);
      return [e.outerHTML.slice(0, 100), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 1];"""
    stops: list[list[Any]] = []
    for _ in range(25):
        opened.switch_to.active_element.send_keys(Keys.TAB)
        stops.append(opened.execute_script(here))
    stops = [stop for stop in stops if not stop[0].startswith("<body")]
    assert len({html for html, _ in stops}) > 10
    assert [html for html, visible in stops if not visible] == []
