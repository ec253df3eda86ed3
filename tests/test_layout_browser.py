"""Layout of the pages in a real browser, at the widths of a desktop, a tablet and a phone, light and dark: the verdict and the change
are seen first, nothing is cut, nothing scrolls sideways, and all text can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import test_html_browser
import vaelab
from helpers_report import hostile_diagnosis, make_diagnosis
from vaelab.diagnosis import Diagnosis
from vaelab.report import to_html
from vaelab.report.compare_page import compare_page
from vaelab.run import ReadNote
from web_helpers import server, wait

browser = test_html_browser.browser
LOGS = Path(__file__).parents[1] / "examples/logs"
SCREENS = [(1440, 900), (768, 1024), (390, 844)]

CUT = """
const inScroll = (e) => e.closest('.scroll, .jump, nav, .u-wrap, .charts canvas, .unseen, .skip, svg');
return [...document.querySelectorAll('main *')].filter((e) => {
  if (!e.checkVisibility() || inScroll(e)) return false;
  const box = e.getBoundingClientRect();
  const hides = ['hidden', 'clip'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1 || hides);
}).map((e) => e.outerHTML.slice(0, 120));
"""

# WCAG 2: 4.5 to 1 for text, 3 to 1 for large or bold large text
UNREADABLE = """
const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
function behind(e) {
  for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > .99) return c.rgb; }
  return [255, 255, 255];
}
const texts = [...document.querySelectorAll('main *, .top *')].filter((e) =>
  e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && !e.closest('svg, :disabled, option, .unseen'));
return texts.filter((e) => {
  const style = getComputedStyle(e), front = light(parse(style.color).rgb), back = light(behind(e));
  const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
  return ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5);
}).map((e) => e.outerHTML.slice(0, 120));
"""

# whether every plot that is shown is as wide as its box, and nothing makes the page wider than the window
FITS = """
const shown = [...document.querySelectorAll('.plot, #plot')].filter((e) => e.checkVisibility() && e.querySelector('canvas'));
return shown.length > 1 - document.querySelectorAll('#plot').length && document.documentElement.scrollWidth <= innerWidth
  && shown.every((e) => Math.abs(e.querySelector('canvas').getBoundingClientRect().width - e.clientWidth) < 1);
"""

BOTTOM = "return arguments[0].map((s) => document.querySelector(s).getBoundingClientRect().bottom)"


@pytest.fixture
def at_screen(browser: Any) -> Iterator[Callable[[int, int, str], None]]:
    """Make the browser a screen of this size and colour scheme."""

    def set_screen(width: int, height: int, scheme: str) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    yield set_screen
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def check(browser: Any, width: int, height: int) -> None:
    """The invariants of any page with a run on it."""
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return scrollY") == 0
    assert max(browser.execute_script(BOTTOM, [".verdict", ".change"])) < height
    assert (
        browser.execute_script("return document.querySelector('.first-charts canvas').getBoundingClientRect().top")
        < height
    )
    assert browser.execute_script(CUT) == []
    assert browser.execute_script(UNREADABLE) == []


def collapse() -> Diagnosis:
    return vaelab.diagnose(vaelab.read(str(LOGS / "radiodiff-collapse/train.log")))


def long_words() -> Diagnosis:
    """Reading left a note with a path that has no place to break."""
    diagnosis = make_diagnosis()
    note = ReadNote("left_aside", 1, f"other logs were left aside: /{'run' * 60}/events.out.tfevents")
    return replace(diagnosis, run=replace(diagnosis.run, notes=(note,)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("made", [collapse, make_diagnosis, hostile_diagnosis, long_words])
def test_a_report_is_seen_in_full(
    browser: Any, at_screen: Callable[..., None], tmp_path: Path, made: Callable[[], Diagnosis], scheme: str
) -> None:
    page = tmp_path / "report.html"
    page.write_text(to_html([made()]), "utf-8")
    for width, height in SCREENS:
        at_screen(width, height, scheme)
        browser.get(page.as_uri())
        wait(lambda: browser.execute_script("return Boolean(window.vaelab?.charts[0][0].plot)"))
        browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        check(browser, width, height)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_live_page_is_seen_in_full(browser: Any, at_screen: Callable[..., None], scheme: str) -> None:
    at = server(LOGS).start()
    drawn = "return Boolean(globalThis.vaelab) && (vaelab.pages.run.set?.entries ?? []).some((e) => e.plot)"
    try:
        for width, height in SCREENS:
            at_screen(width, height, scheme)
            browser.get(at.url)
            wait(lambda: browser.execute_script(drawn))
            check(browser, width, height)
    finally:
        browser.get("about:blank")
        at.stop()


def test_narrow_windows_show_all_links_to_parts_and_a_comparison_begins_with_its_plots(
    browser: Any, at_screen: Callable[..., None]
) -> None:
    at = server(LOGS).start()
    try:
        at_screen(1280, 800, "light")
        browser.get(at.url)
        wait(lambda: browser.execute_script("return document.querySelectorAll('#run .jump button').length > 4"))
        assert browser.execute_script(
            "const e = document.querySelector('#run .jump'); return e.scrollWidth <= e.clientWidth"
        )
        browser.execute_script("location.hash = 'compare=' + vaelab.state.runs.map((r) => r.id).join()")
        drawn = "return document.querySelector('#compare .first-charts canvas')?.getBoundingClientRect().bottom"
        assert wait(lambda: browser.execute_script(drawn)) < 800
    finally:
        browser.get("about:blank")
        at.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_of_several_runs_names_the_worst_first_with_its_change(
    browser: Any, at_screen: Callable[..., None], tmp_path: Path, scheme: str
) -> None:
    page = tmp_path / "report.html"
    page.write_text(to_html([make_diagnosis(status="healthy"), hostile_diagnosis(), collapse()]), "utf-8")
    for width, height in SCREENS:
        at_screen(width, height, scheme)
        browser.get(page.as_uri())
        wait(lambda: browser.execute_script("return Boolean(window.vaelab)"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(CUT) == [] and browser.execute_script(UNREADABLE) == []
        rows = browser.execute_script("return [...document.querySelectorAll('.runs tbody tr')].map((r) => r.innerText)")
        assert rows[0].startswith("stop") and rows[-1].startswith("healthy")
    browser.execute_script("[...document.querySelectorAll('[data-action=show]')].at(-1).click()")
    shown = "return [...document.querySelectorAll('.run')].findIndex((r) => !r.hidden)"
    assert browser.execute_script(shown) == 0


def test_a_report_is_short(browser: Any, at_screen: Callable[..., None], tmp_path: Path) -> None:
    """It was 9,000 pixels high on a desktop and 16,600 on a phone."""
    page = tmp_path / "report.html"
    page.write_text(to_html([collapse()]), "utf-8")
    for width, most in ((1440, 5000), (390, 8500)):
        at_screen(width, 900, "light")
        browser.get(page.as_uri())
        wait(lambda: browser.execute_script("return Boolean(window.vaelab)"))
        assert browser.execute_script("return document.documentElement.scrollHeight") < most


def compared() -> str:
    return compare_page([make_diagnosis(), collapse()])


@pytest.mark.parametrize("made", [lambda: to_html([collapse()]), compared])
def test_plots_are_drawn_anew_when_the_window_shrinks_and_grows(
    browser: Any, at_screen: Callable[..., None], tmp_path: Path, made: Callable[[], str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text(made(), "utf-8")
    at_screen(1440, 900, "light")
    browser.get(page.as_uri())
    for width in (1440, 390, 1440):
        at_screen(width, 900, "light")
        wait(lambda: browser.execute_script(FITS))


def test_the_live_page_draws_its_plots_anew_when_the_window_shrinks(
    browser: Any, at_screen: Callable[..., None]
) -> None:
    at = server(LOGS / "radiodiff-collapse").start()
    try:
        at_screen(1440, 900, "light")
        browser.get(at.url)
        for width in (1440, 390):
            at_screen(width, 900, "light")
            wait(lambda: browser.execute_script(FITS))
    finally:
        browser.get("about:blank")
        at.stop()


@pytest.mark.parametrize(
    ("made", "width", "most"), [(lambda: to_html([collapse(), make_diagnosis()]), 718, 718), (compared, 1047, 1300)]
)
def test_on_paper_all_is_light_and_nothing_is_cut(
    browser: Any, at_screen: Callable[..., None], tmp_path: Path, made: Callable[[], str], width: int, most: int
) -> None:
    """width: A4 within its margins. most: a browser that prints shrinks a page that is too wide, such as a table of many settings."""
    page = tmp_path / "page.html"
    page.write_text(made(), "utf-8")
    at_screen(1440, 900, "dark")
    browser.get(page.as_uri())
    wait(lambda: browser.execute_script(FITS))
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    at_screen(width, 900, "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    paper = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(paper) == "rgb(255, 255, 255)"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= most
    assert browser.execute_script(CUT if most == width else "return []") == []
    assert browser.execute_script(UNREADABLE) == []
    headings = "return [...document.querySelectorAll('main th')].filter((e) => e.textContent && !e.innerText).length"
    assert browser.execute_script(headings) == 0
    assert browser.execute_script("return [...document.querySelectorAll('main .run')].filter((e) => e.hidden)") == []
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    wait(lambda: browser.execute_script(FITS))
