"""Draw the pictures of the first view for README.md and the site:  python docs/make_pictures.py  (needs Chromium, and Pillow).

first-view.png, first-view-dark.png: the report of the collapsed example run. web.png: the live page on the example runs.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver

import vaelab
from vaelab.live import Watcher
from vaelab.report import to_html
from vaelab.web.server import Server

HERE = Path(__file__).parent
LOGS = Path("examples/logs")
COLOURS = 96  # of the palette: a screen of text and lines looks the same, in a third of the bytes


def browser(width: int, height: int) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    # named, or selenium would ask the network for one
    options.binary_location, service = (
        shutil.which("chromium") or "",
        webdriver.ChromeService(shutil.which("chromedriver")),
    )
    driver = webdriver.Chrome(options=options, service=service)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return driver


def picture(driver: webdriver.Chrome, address: str, scheme: str, target: Path) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(address)
    time.sleep(3)  # the plots are drawn
    shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target} {target.stat().st_size // 1000} kB")


def main() -> None:
    os.chdir(HERE.parent)  # the pictures name the logs as the documents do
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(
            to_html([vaelab.diagnose(vaelab.read(LOGS / "radiodiff-collapse/train.log"))]), encoding="utf-8"
        )
        driver = browser(1100, 600)
        for scheme, name in (("light", "first-view.png"), ("dark", "first-view-dark.png")):
            picture(driver, page.as_uri(), scheme, HERE / "images" / name)
        driver.quit()
    driver = browser(1280, 800)
    with Server(Watcher([str(LOGS)]), port=0) as server:
        picture(driver, server.url, "light", HERE / "images/web.png")
    driver.quit()


if __name__ == "__main__":
    main()
