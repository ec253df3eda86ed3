"""The live page of thousands of runs: few of them in the page, few bytes a change, all of them in a table; and two fingers."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

import test_html_browser
from test_web_browser import drawn, script, text_of
from vaelab.live import Watcher
from vaelab.web.server import Server
from web_helpers import get, server, wait, write_log

browser = test_html_browser.browser
RUNS = 2000


class Many:
    """Stands for a watcher of so many logs: copies of two runs, of which one changes when it is told to."""

    def __init__(self, folder: Path) -> None:
        logs = [write_log(folder / f"{name}.csv") for name in "ab"]
        for (
            log
        ) in logs:  # silent from the beginning: on a slow machine they would all become so in the middle of a test
            os.utime(log, (time.time() - 3600, time.time() - 3600))
        watcher = Watcher([str(log) for log in logs])
        watcher.poll()
        self.paths, few = watcher.paths, list(watcher.runs.values())
        self.runs = {}
        for i in range(RUNS):
            one = self.runs[f"r{i}"] = copy.copy(few[i % 2])
            one.id, one.source = f"r{i}", f"/sweep/run-{i}/train.csv"

    def poll(self) -> list[Any]:
        return []


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    at = Server(Many(tmp_path_factory.mktemp("logs")), port=0, interval=0.05).start()  # type: ignore[arg-type]
    wait(lambda: len(at.poller.views) == RUNS)
    yield at
    at.stop()


def listed(browser: Any) -> list[str]:
    return script(browser, "return [...document.querySelectorAll('#run-list b')].map((b) => b.textContent)")


def test_a_page_of_the_list_is_in_the_document_and_marks_stay(browser: Any, many: Server) -> None:
    browser.set_window_size(1500, 2400)
    browser.get(many.url)
    wait(lambda: drawn(browser) and len(listed(browser)) == 50)
    assert "2,000 runs" in text_of(browser, "#runs") and "1 of 40" in text_of(browser, "#run-pages")
    browser.find_element(By.CSS_SELECTOR, "#run-list input").click()
    browser.find_elements(By.CSS_SELECTOR, "#run-pages button")[1].click()
    browser.find_element(By.CSS_SELECTOR, "#run-list input").click()
    assert "(2)" in text_of(browser, "#compare-button")
    browser.find_element(By.ID, "run-filter").send_keys("run-199")
    wait(lambda: listed(browser) == [f"run-{n}/train.csv" for n in (199, *range(1990, 2000))])
    assert "(2)" in text_of(browser, "#compare-button")  # also of those that are not listed
    browser.get("about:blank")


def test_a_change_of_one_run_is_sent_alone_and_arrives(browser: Any, many: Server) -> None:
    browser.get(many.url)
    wait(lambda: drawn(browser))
    many.poller.watcher.runs["r7"].problem = "the disk is full"
    wait(lambda: "the disk is full" in text_of(browser, "#run-list"))
    whole, changes = many.poller.feed._newest or ()
    assert len(json.loads(whole.text)["runs"]) == RUNS and len(changes.text) < 2000
    assert script(browser, "return vaelab.state.runs.length") == RUNS
    many.poller.watcher.runs.pop("r7")
    wait(lambda: script(browser, "return vaelab.state.runs.length") == RUNS - 1)
    browser.get("about:blank")


def test_all_runs_stand_in_one_table(browser: Any, tmp_path: Path) -> None:
    with server(write_log(tmp_path / "a/m.csv"), write_log(tmp_path / "b/m.csv", 60)) as at:
        wait(lambda: len(at.poller.views) == 2 and all(v.diagnosis for v in at.poller.views.values()))
        answer = get(at, "/compare.html")
        assert answer.status == 200 and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        browser.get(f"{at.url}compare.html")
        wait(lambda: browser.find_elements(By.CSS_SELECTOR, "#plot canvas"))
        assert script(browser, "return vaelab.data.runs.map((r) => r.name)") == ["a", "b"]
        browser.get("about:blank")


def test_two_fingers_zoom_every_plot(browser: Any, tmp_path: Path) -> None:
    with server(write_log(tmp_path / "a.csv")) as at:
        browser.set_window_size(1500, 2400)
        browser.get(at.url)
        wait(lambda: drawn(browser))
        shown = "const { min, max } = vaelab.pages.run.set.entries.find((e) => e.plot).plot.scales.x; return [min, max]"
        assert script(browser, shown) == [0, 1190]
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
        box = script(browser, "return document.querySelector('.u-over').getBoundingClientRect().toJSON()")

        def touch(kind: str, *shares: float) -> None:
            points = [
                {"x": box["left"] + s * box["width"], "y": box["top"] + 40, "id": i} for i, s in enumerate(shares)
            ]
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 0.4, 0.6)
        touch("touchMove", 0.2, 0.8)
        touch("touchEnd")
        low, high = wait(lambda: (found := script(browser, shown)) != [0, 1190] and found)
        assert low == pytest.approx(397, abs=25) and high == pytest.approx(793, abs=25)
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.get("about:blank")
