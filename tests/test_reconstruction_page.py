"""The page of reconstructions in a real browser: pictures and videos are drawn, and the border between two of them moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from selenium.webdriver.common.by import By

import test_html_browser
from helpers_report import HOSTILE
from test_html_browser import complaints
from vaelab.evaluation.panels import PictureFile, panels
from vaelab.evaluation.reconstruct import Row, for_page
from vaelab.report.reconstruction_page import reconstruction_page
from web_helpers import wait

browser = test_html_browser.browser


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Any:
    """A picture and a video, black in the original and white in the reconstruction."""
    black, white = -torch.ones(3, 64, 96), torch.ones(3, 64, 96)
    rows = []
    for name, rate in (("a b#.png", Fraction(0)), ("clip.mp4", Fraction(8))):
        path = tmp_path / name
        with PictureFile(path, rate) as file:
            for _ in range(8 if rate else 1):
                file.add(panels(black, [white], ["reconstruction"], gain=1))
        psnr = 20.0 if rate else 30.0
        rows.append(Row(f"{name} {HOSTILE}", "reconstruction", 1, 64, 96, {"psnr": psnr}, 0.0, "whole", "", path))
    page = reconstruction_page(for_page(rows, tmp_path), {HOSTILE: HOSTILE}, 1.0, ["file"], [[HOSTILE]])
    (tmp_path / "reconstructions.html").write_text(page)
    browser.get_log("browser")
    browser.get((tmp_path / "reconstructions.html").as_uri())
    wait(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".slider[data-drawn]")) == 2)
    return browser


def test_the_worst_file_comes_first_and_nothing_of_a_name_is_run(opened: Any) -> None:
    titles = [h.text for h in opened.find_elements(By.CSS_SELECTOR, ".slider h3")]
    assert titles[0].startswith("clip.mp4") and "PSNR 20.0 dB" in titles[0]
    assert opened.execute_script("return window.hacked") is None and complaints(opened) == []


def test_the_border_moves_over_pictures_and_videos(opened: Any, tmp_path: Path) -> None:
    for section in opened.find_elements(By.CSS_SELECTOR, ".slider"):
        canvas, border = (section.find_element(By.CSS_SELECTOR, s) for s in ("canvas", "input[type=range]"))
        half = section.screenshot_as_png
        opened.execute_script("arguments[0].value = 900; arguments[0].dispatchEvent(new Event('input'))", border)
        assert section.screenshot_as_png != half
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        test_html_browser.webdriver.ActionChains(opened).move_to_element(canvas).click().perform()
        assert abs(int(border.get_attribute("value")) - 500) < 20
