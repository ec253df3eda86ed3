"""The HTML page in a real browser: it draws, zooms, follows dark mode, and runs nothing that a log smuggles in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from helpers_report import hostile_diagnosis, make_diagnosis, make_run
from vaelab.report import to_html

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.fail("This test needs Chromium and its driver: run  apt-get install -y chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    def open_page(*diagnoses: Any) -> Any:
        page = tmp_path / "report.html"
        page.write_text(to_html(diagnoses), "utf-8")
        browser.get_log("browser")
        browser.get(page.as_uri())
        wait(lambda: browser.execute_script("return Boolean(window.vaelab)"))
        return browser

    return open_page


def wait(condition: Callable[[], Any]) -> Any:
    """The first true value of ``condition``, asked again for up to ten seconds."""
    for _ in range(200):
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail("the page did not come to the expected state")


def complaints(browser: Any) -> list[str]:
    """What the console says, but for a hint about the speed of this test's own pixel reading."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["source"] != "rendering"]


def inked_canvases(browser: Any, run: int = 0) -> list[bool]:
    """For each chart of a run, whether its canvas has more than one colour in it."""
    return browser.execute_script(
        """return vaelab.charts[arguments[0]].map(({plot}) => {
             const {canvas} = plot.ctx, pixels = new Set(
               new Uint32Array(plot.ctx.getImageData(0, 0, canvas.width, canvas.height).data.buffer));
             return pixels.size > 2; })""",
        run,
    )


def shown_steps(browser: Any) -> list[list[float]]:
    """The step range of every chart of the first run."""
    return browser.execute_script("return vaelab.charts[0].map(({plot}) => [plot.scales.x.min, plot.scales.x.max])")


def test_every_plot_is_drawn_without_a_console_error(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    wait(lambda: all(inked_canvases(browser)))
    assert len(inked_canvases(browser)) == 9
    assert complaints(browser) == []


def test_nothing_is_fetched_from_anywhere(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_a_click_on_a_finding_zooms_every_plot_to_its_steps(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    before = shown_steps(browser)
    button = browser.find_element(By.CSS_SELECTOR, "button[data-first='8000']")
    browser.execute_script("arguments[0].click()", button)
    wait(lambda: shown_steps(browser) != before)
    for first, last in shown_steps(browser):
        assert 7_000 < first <= 8_000 and 9_980 <= last < 11_000
    meant = browser.find_elements(By.CSS_SELECTOR, ".chart.meant h3")
    assert [title.text for title in meant] == ["reconstruction loss"]
    browser.execute_script("document.querySelector('[data-action=zoom-out]').click()")
    wait(lambda: shown_steps(browser) == before)


def test_the_keyboard_zooms_and_resets(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    before = shown_steps(browser)
    chart = browser.find_element(By.CSS_SELECTOR, ".chart")
    chart.send_keys("+")
    wait(lambda: shown_steps(browser)[-1][0] > before[-1][0])
    chart.send_keys(Keys.ESCAPE)
    wait(lambda: shown_steps(browser) == before)


def test_a_drag_across_one_plot_zooms_all(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    before = shown_steps(browser)
    over = browser.find_element(By.CSS_SELECTOR, ".u-over")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    actions = webdriver.ActionChains(browser)
    actions.move_to_element_with_offset(over, -80, 0).click_and_hold().move_by_offset(120, 0).release().perform()
    wait(lambda: shown_steps(browser)[-1][1] < before[-1][1])
    assert len({tuple(span) for span in shown_steps(browser)}) == 1


def test_the_crosshair_stands_at_one_step_in_all_plots_and_at_a_height_in_its_own_only(
    opened: Callable[..., Any],
) -> None:
    browser = opened(make_diagnosis())
    over = browser.find_element(By.CSS_SELECTOR, ".u-over")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    webdriver.ActionChains(browser).move_to_element_with_offset(over, 30, 10).perform()
    shown = """return [...document.querySelectorAll('.uplot')].filter((e) => e.checkVisibility())
      .map((e) => ['x', 'y'].map((name) => { const line = e.querySelector(`.u-cursor-${name}`);
        return line.checkVisibility() && !line.classList.contains('u-off'); }))"""
    lines = wait(lambda: (found := browser.execute_script(shown)) and all(x for x, _ in found) and found)
    assert len(lines) > 2 and [y for _, y in lines].count(True) == 1
    steps = "return [...document.querySelectorAll('.readout')].filter((e) => e.checkVisibility()).map((e) => e.innerText.match(/step ([\\d,]+)/)?.[1])"
    assert len(set(browser.execute_script(steps))) == 1 and None not in browser.execute_script(steps)


def test_the_axis_of_a_plot_turns_linear(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    switch = browser.find_element(By.CSS_SELECTOR, ".chart [role=switch]")
    assert switch.is_selected()
    browser.execute_script("arguments[0].click()", switch)
    assert not switch.is_selected()
    assert browser.execute_script("return vaelab.charts[0][0].plot.scales.y.distr") == 1


def test_the_page_follows_the_dark_scheme(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(paper)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    try:
        wait(lambda: browser.execute_script(paper) != light)
        wait(lambda: all(inked_canvases(browser)))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_text_from_a_hostile_log_is_shown_and_not_run(opened: Callable[..., Any]) -> None:
    browser = opened(hostile_diagnosis())
    wait(lambda: all(inked_canvases(browser)))
    assert browser.execute_script("return window.hacked") is None
    assert complaints(browser) == []  # an attempt that the page's own policy had to stop would stand here
    assert browser.find_elements(By.CSS_SELECTOR, "img") == []
    assert "<script>" in browser.find_element(By.CSS_SELECTOR, ".verdict").text


def test_several_runs_can_be_chosen(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis(), make_diagnosis(make_run(50, seed=1)))  # equally grave: the first is shown
    runs = browser.find_elements(By.CSS_SELECTOR, ".run")
    assert [run.is_displayed() for run in runs] == [True, False]
    browser.execute_script(
        "const s = document.getElementById('select-run'); s.value = '1'; s.dispatchEvent(new Event('change'))"
    )
    assert [run.is_displayed() for run in runs] == [False, True]
    wait(lambda: all(inked_canvases(browser, 1)))


def test_a_phone_needs_no_sideways_scrolling(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis(), hostile_diagnosis())
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        wait(lambda: browser.execute_script("return innerWidth") <= 390)
        wait(lambda: browser.execute_script("return document.documentElement.scrollWidth") <= 390)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_patch_can_be_copied(opened: Callable[..., Any]) -> None:
    browser = opened(make_diagnosis())
    button = browser.find_element(By.CSS_SELECTOR, "button[data-action='copy']")
    browser.execute_script("arguments[0].click()", button)
    wait(lambda: button.text != "Copy")
    assert button.text in ("copied", "selected: press Ctrl+C")
