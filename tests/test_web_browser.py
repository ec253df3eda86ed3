"""The live page in a real browser: it opens, follows the log, zooms, filters, compares, works by keyboard, on a phone and
in the dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import test_html_browser
from test_html_browser import complaints
from vaelab.web.server import Server
from web_helpers import COLUMNS, append, run_ids, server, wait, write_log

browser = test_html_browser.browser


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Start a server, open its page in the browser, and wait for the first plot."""
    started: list[Server] = []

    def open_page(*paths: Path, fragment: str = "", **options: Any) -> tuple[Any, Server]:
        at = server(*paths, **options).start()
        started.append(at)
        run_ids(at)
        browser.get_log("browser")
        browser.set_window_size(1500, 2400)  # plots are drawn when they come on the screen
        browser.get(at.url + fragment)
        wait(lambda: drawn(browser))
        return browser, at

    yield open_page
    browser.get("about:blank")
    for at in started:
        at.stop()


def script(browser: Any, text: str, *arguments: Any) -> Any:
    return browser.execute_script(text, *arguments)


def drawn(browser: Any) -> bool:
    """Whether a plot is drawn."""
    return script(
        browser,
        "return Boolean(globalThis.vaelab) && Object.values(vaelab.pages).some(p => p.set?.entries.some(e => e.plot))",
    )


def last_points(browser: Any) -> list[float]:
    """The newest step that each drawn plot of the run holds."""
    return script(browser, "return vaelab.pages.run.set.entries.filter(e => e.plot).map(e => e.plot.data[0].at(-1))")


def shown_steps(browser: Any) -> list[list[float]]:
    return script(
        browser,
        "return vaelab.pages.run.set.entries.filter(e => e.plot).map(({plot: {scales: {x}}}) => [x.min, x.max])",
    )


def text_of(browser: Any, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def click(browser: Any, selector: str) -> None:
    script(browser, "document.querySelector(arguments[0]).click()", selector)


def test_the_page_opens_with_verdict_plots_and_nothing_on_the_console(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    browser, at = opened(write_log(tmp_path / "run/metrics.csv"))
    (view,) = at.poller.views.values()
    assert text_of(browser, ".verdict .status") == view.status
    assert browser.title == f"{view.status}: run/metrics.csv - vaelab"
    assert text_of(browser, "#connection") == "live"
    assert not browser.find_element(By.ID, "runs").is_displayed()  # one run needs no list
    wait(lambda: last_points(browser).count(1190) >= 2)
    assert complaints(browser) == []


def test_everything_comes_from_this_server(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, at = opened(write_log(tmp_path / "a.csv"))
    fetched = script(browser, "return performance.getEntriesByType('resource').map(e => e.name)")
    assert fetched and [name for name in fetched if not name.startswith(at.url)] == []


def test_the_page_follows_the_log_as_it_grows(opened: Callable[..., Any], tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.csv")
    browser, _ = opened(path)
    wait(lambda: set(last_points(browser)) == {1190})
    append(path, 120, 30)
    wait(lambda: set(last_points(browser)) == {1490})
    assert all(span == [0, 1490] for span in shown_steps(browser))
    wait(lambda: "steps 0 to 1,490" in text_of(browser, "[data-part=verdict]"))


def test_a_zoom_asks_for_the_points_of_the_range_and_stays_while_the_log_grows(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    path = write_log(tmp_path / "a.csv", 6000)
    browser, _ = opened(path)
    wait(lambda: set(last_points(browser)) == {59_990})
    first = "return vaelab.pages.run.set.entries[0].chart.x"
    assert len(script(browser, first)) < 3000  # of 6,000
    script(browser, "vaelab.pages.run.set.zoom(20000, 25000)")
    wait(lambda: len(script(browser, first)) == 503)  # every row of the range, and one on either side
    append(path, 6000, 20)
    wait(lambda: script(browser, "return vaelab.state.runs[0].step") == 60_190)
    assert all(span == [20_000, 25_000] for span in shown_steps(browser))


def test_who_looks_at_the_newest_steps_goes_on_with_them(opened: Callable[..., Any], tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.csv")
    browser, _ = opened(path)
    click(browser, "#run [data-action=newest]")
    assert shown_steps(browser)[0] == [1071, 1190]
    append(path, 120, 10)
    wait(lambda: shown_steps(browser)[0] == [1171, 1290])


def test_a_finding_zooms_every_plot_and_names_its_own(opened: Callable[..., Any]) -> None:
    browser, _ = opened(Path(__file__).parents[1] / "examples/logs/pyramid-flow-gan-weight")
    button = browser.find_element(By.CSS_SELECTOR, "[data-part=judgement] button[data-action=finding]")
    before = shown_steps(browser)[0]
    script(browser, "arguments[0].click()", button)
    first, last = int(button.get_attribute("data-first")), int(button.get_attribute("data-last"))
    wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".chart.meant"))
    low, high = shown_steps(browser)[0]
    assert before[0] <= low <= first and last <= high <= before[1]
    copy = browser.find_element(By.CSS_SELECTOR, "[data-part=judgement] button[data-action=copy]")
    script(browser, "arguments[0].click()", copy)
    wait(lambda: copy.text in ("copied", "selected: press Ctrl+C"))


def test_plots_and_runs_are_filtered(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, _ = opened(write_log(tmp_path / "a/metrics.csv"), write_log(tmp_path / "b/metrics.csv"))
    box = browser.find_element(By.CSS_SELECTOR, "#run .chart-filter input")
    box.send_keys("gradi")
    # in one call: the page may put other elements in their place between two
    visible = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).map(e => e.innerText.trim())"
    shown = lambda: script(browser, visible, "#run .main-charts h3")  # noqa: E731
    wait(lambda: shown() == ["gradient norm before clipping"])
    box.send_keys(Keys.ESCAPE)
    wait(lambda: len(shown()) == len(COLUMNS) - 2)  # two are in the first view, and stay
    names = lambda: script(browser, visible, "#run-list b")  # noqa: E731
    browser.find_element(By.ID, "run-filter").send_keys("b/")
    wait(lambda: names() == ["b/metrics.csv"])
    browser.find_element(By.ID, "run-filter").send_keys(Keys.ESCAPE)
    script(browser, "const s = arguments[0]; s.value = 'stop'; s.dispatchEvent(new Event('change'))",
           browser.find_element(By.ID, "status-filter"))  # fmt: skip
    wait(lambda: names() == [])
    assert text_of(browser, "#no-run") == "No run fits the filter."


def test_runs_are_marked_and_compared_over_each_other(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, _ = opened(write_log(tmp_path / "a/metrics.csv"), write_log(tmp_path / "b/metrics.csv", 60))
    for place in range(2):  # found anew: the list may be drawn again in between
        browser.find_elements(By.CSS_SELECTOR, "#run-list input")[place].click()
    browser.find_element(By.ID, "compare-button").click()
    lines = "return vaelab.pages.compare.set?.entries.filter(e => e.plot).map(e => e.plot.series.map(s => s.label))"
    wait(lambda: ["step", "a", "b"] in (script(browser, lines) or []))
    assert "2 runs over each other" in text_of(browser, "#compare")
    assert browser.title == "2 runs - vaelab"
    browser.back()
    wait(lambda: browser.find_element(By.ID, "run").is_displayed())
    assert not browser.find_element(By.ID, "compare").is_displayed()


def test_what_is_read_does_not_move_while_the_log_grows(opened: Callable[..., Any], tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.csv")
    browser, _ = opened(path)
    click(browser, "[data-part=details] > details > summary")
    summary = "document.querySelector('[data-part=details] summary')"
    script(browser, f"{summary}.focus()")
    before = script(browser, "return document.querySelector('[data-part=details]').shown")
    append(path, 120, 40)
    wait(lambda: script(browser, "return document.querySelector('[data-part=details]').shown") != before)
    assert script(browser, f"return {summary}.parentElement.open && document.activeElement === {summary}")


def test_the_keyboard_reaches_everything(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, _ = opened(write_log(tmp_path / "a/metrics.csv"), write_log(tmp_path / "b/metrics.csv"))
    focused = lambda: browser.switch_to.active_element  # noqa: E731
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert focused().text == "Skip to the run"
    focused().send_keys(Keys.ENTER)
    assert focused().get_attribute("id") == "content"
    first, second = browser.find_elements(By.CSS_SELECTOR, "#run-list a")
    first.send_keys(Keys.ARROW_DOWN)
    assert focused() == second
    second.send_keys(Keys.ENTER)
    wait(lambda: second.get_attribute("aria-current") == "true" and drawn(browser))
    before = shown_steps(browser)[0]
    chart = browser.find_element(By.CSS_SELECTOR, "#run .chart")
    chart.send_keys("+")
    wait(lambda: shown_steps(browser)[0][0] > before[0])
    chart.send_keys(Keys.ARROW_RIGHT)
    chart.send_keys(Keys.ESCAPE)
    wait(lambda: shown_steps(browser)[0] == before)
    unnamed = script(
        browser,
        """return [...document.querySelectorAll("a, button, input, select, summary, [tabindex='0']")].filter((e) =>
             e.checkVisibility() && !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
             .map((e) => e.outerHTML)""",
    )
    assert unnamed == []


def test_light_and_dark_are_switched_and_remembered(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, at = opened(write_log(tmp_path / "a.csv"))
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = script(browser, paper)
    choose = "const s = document.getElementById('theme'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
    script(browser, choose, "dark")
    assert script(browser, paper) != light
    browser.get(at.url)
    wait(lambda: drawn(browser))
    assert script(browser, paper) != light
    emulated = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    try:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
        script(browser, choose, "light")
        assert script(browser, paper) == light
        script(browser, choose, "auto")
        assert script(browser, paper) != light
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert script(browser, paper) == light


def test_a_phone_needs_no_sideways_scrolling(opened: Callable[..., Any], tmp_path: Path) -> None:
    long = tmp_path / "a-folder-with-a-very-long-name-that-does-not-end/a-file-with-a-very-long-name.csv"
    browser, at = opened(write_log(long), write_log(tmp_path / "b/metrics.csv"))
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        width = "return document.documentElement.scrollWidth"
        for fragment in (f"#run={run_ids(at)[0]}", f"#compare={','.join(run_ids(at))}"):
            browser.get("about:blank")
            browser.get(at.url + fragment)
            wait(lambda: [c for c in browser.find_elements(By.CSS_SELECTOR, ".chart") if c.is_displayed()])
            script(browser, "[...document.querySelectorAll('.chart')].find(c => c.checkVisibility()).scrollIntoView()")
            wait(lambda: drawn(browser))
            assert script(browser, width) <= 390
            assert not browser.find_element(By.ID, "run-list").is_displayed()  # folded away
        click(browser, "nav summary")
        assert script(browser, width) <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_preview_is_shown_and_its_slider_goes_back(opened: Callable[..., Any], tmp_path: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    write_log(tmp_path / "b/metrics.csv")
    own = tmp_path / "own"
    (own / "previews").mkdir(parents=True)
    for step, colour in ((10, "red"), (20, "blue")):
        shown, tiles = Image.new("RGB", (64, 32), colour), PngInfo()
        shown.paste("white", (32, 0, 64, 32))
        tiles.add_text("tiles", '{"width": 32, "height": 32, "cell": 32, "lefts": [0], "tops": [0]}')
        shown.save(own / f"previews/preview_{step:08d}.png", pnginfo=tiles)
    lines = (
        f'{{"step": {i}, "rec_mse": {0.5 / (i + 1)}, "rec_loss": {0.4 / (i + 1)}, "clip_coefficient": 1.0}}\n'
        for i in range(60)
    )
    (own / "metrics.jsonl").write_text("".join(lines))
    browser, _ = opened(own)
    loaded = "const i = document.querySelector('#previews img'); return i?.naturalWidth && i.src"
    assert wait(lambda: script(browser, loaded)).endswith("/previews/20.png")
    browser.find_element(By.CSS_SELECTOR, "#previews input").send_keys(Keys.ARROW_LEFT)
    wait(lambda: str(script(browser, loaded)).endswith("/previews/10.png"))
    assert "10 (1 of 2)" in text_of(browser, "#previews output")
    # the left of the original and the right of the reconstruction
    pixels = """const c = document.querySelector('#previews canvas').getContext('2d');
      return [4, 28].map((x) => [...c.getImageData(x, 16, 1, 1).data].slice(0, 3))"""
    choose = (
        "const s = document.querySelector('#previews select'); s.value = 'wipe'; s.dispatchEvent(new Event('change'))"
    )
    script(browser, choose)
    wait(lambda: script(browser, pixels) == [[255, 0, 0], [255, 255, 255]])
    assert complaints(browser) == []


def test_runs_are_compared_over_samples_too(opened: Callable[..., Any], tmp_path: Path) -> None:
    for name in "ab":
        write_log(tmp_path / name / "metrics.csv")
    (tmp_path / "a/config.yaml").write_text("batch_size: 8\n", "utf-8")
    browser, at = opened(tmp_path)
    browser.get(f"{at.url}#compare={','.join(run_ids(at))}")
    last = "return vaelab.pages.compare.set?.entries.find((e) => e.plot)?.plot.scales.x.max"
    wait(lambda: script(browser, last) == 1190)
    script(
        browser, "const s = document.getElementById('over'); s.value = 'samples'; s.dispatchEvent(new Event('change'))"
    )
    wait(lambda: script(browser, last) == 8 * 1190)
    assert text_of(browser, "#left-out") == "Not drawn: b (the log does not tell the batch size)."
    assert complaints(browser) == []
