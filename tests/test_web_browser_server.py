"""The live page and its server: a restart, many tabs, slow answers, the token, and logs that try to run code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By

import test_html_browser
import test_web_browser
from test_html_browser import complaints
from test_web_browser import drawn, last_points, script, text_of
from vaelab.live import Watcher
from vaelab.web.server import Server
from web_helpers import append, run_ids, server, wait, write_log

browser = test_html_browser.browser
opened = test_web_browser.opened
HOSTILE = "<img/src=x/onerror=window.hacked=1><script>window.hacked=2</script>"


def test_a_state_that_comes_while_the_page_loads_another_is_not_lost(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    path = write_log(tmp_path / "a.csv")
    browser, _ = opened(path)
    slow = "const f = fetch; window.fetch = async (a) => { const r = await f(a); await new Promise(d => setTimeout(d, 2000)); return r; }"
    script(browser, slow)
    step = "return vaelab.state.runs[0].step"
    for first, last in ((120, 1290), (130, 1390)):
        append(path, first, 10)
        wait(lambda last=last: script(browser, step) == last)
    assert "1,390" not in text_of(browser, "[data-part=verdict]")  # or this tests nothing
    wait(lambda: "steps 0 to 1,390" in text_of(browser, "[data-part=verdict]"))


def test_the_page_goes_on_after_the_server_was_started_again(browser: Any, tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.csv")
    first = server(path).start()
    run_ids(first)
    browser.set_window_size(1500, 2400)
    browser.get(first.url)
    wait(lambda: drawn(browser) and set(last_points(browser)) == {1190})
    first.stop()
    wait(lambda: "does not answer" in text_of(browser, "#connection"))
    append(path, 120, 30)
    with server(path, port=first.port):
        wait(lambda: text_of(browser, "#connection") == "live")
        wait(lambda: set(last_points(browser)) == {1490})
        browser.get("about:blank")


def test_many_tabs_of_one_browser_share_one_connection(opened: Callable[..., Any], tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.csv")
    browser, at = opened(path)
    home = browser.current_window_handle
    for _ in range(7):  # with one connection for each tab, a browser would stop at six
        browser.switch_to.new_window("tab")
        browser.get(at.url)
        wait(lambda: text_of(browser, "#connection") == "live" and drawn(browser))
    assert at.poller.feed.clients == 1
    append(path, 120, 30)
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        wait(lambda: set(last_points(browser)) == {1490})
        if handle != home:
            browser.close()
    browser.switch_to.window(home)


def test_a_token_in_the_address_becomes_a_cookie(opened: Callable[..., Any], tmp_path: Path) -> None:
    browser, at = opened(write_log(tmp_path / "a.csv"), token="a-token-of-mine")
    assert browser.current_url == f"http://127.0.0.1:{at.port}/"
    assert script(browser, "return document.cookie") == ""  # no script can read it
    browser.delete_all_cookies()
    browser.get(browser.current_url)
    assert "needs its token" in browser.find_element(By.TAG_NAME, "body").text


def test_whatever_a_log_says_is_text(opened: Callable[..., Any], tmp_path: Path) -> None:
    name = "<img src=x onerror=window.hacked=1><script>window.hacked=2;"  # no slash: it is a file name
    hostile = write_log(
        tmp_path / f"{name} dir" / f"{name}.csv", names=("rec_loss", HOSTILE, "kl_loss", "a&amp;b", "<b>")
    )
    other = write_log(tmp_path / "other/metrics.csv", names=("rec_loss", HOSTILE, "kl_loss", "a&amp;b", "<b>"))
    config = {"dataset": HOSTILE, "kl_weight": 1e-6, "output_dir": "'\"><script>window.hacked=3</script>"}
    at = Server(Watcher([str(hostile), str(other)], config=config), port=0, interval=0.05).start()
    try:
        ids = run_ids(at)
        browser, _ = opened(other)
        browser.get(f"{at.url}#run={ids[0]}")
        wait(lambda: drawn(browser))
        script(browser, "document.querySelectorAll('[data-part=details] details').forEach(d => { d.open = true; })")
        wait(lambda: HOSTILE in text_of(browser, "[data-part=details]"))  # the configuration
        assert (
            "<script>window.hacked=2" in text_of(browser, "#run .main-charts")
            and name in text_of(browser, ".source")
            and name in text_of(browser, "nav")
        )
        assert "<b>" in text_of(browser, "#run .main-charts") and "a&amp;b" in text_of(browser, "#run .main-charts")
        wait(lambda: script(browser, "return vaelab.pages.run.set.entries.filter(e => e.plot).length") == 5)
        browser.get(f"{at.url}#compare={','.join(ids)}")
        wait(
            lambda: script(browser, "return (vaelab.pages.compare.set?.entries ?? []).filter(e => e.plot).length") >= 4
        )
        assert script(browser, "return window.hacked") is None
        assert browser.find_elements(By.CSS_SELECTOR, "main script, main img") == []
        assert complaints(browser) == []  # what the policy had to stop would stand here
        browser.get("about:blank")
    finally:
        at.stop()
