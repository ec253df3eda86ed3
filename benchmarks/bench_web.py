"""How long does a plot of a very long log take on the live page, and what does thinning its points on the server save?

    python benchmarks/bench_web.py [--rows 1000000] [--browser]

Writes a CSV of a VAE-GAN run with 13 metrics to a temporary folder, serves its live page, and asks for one plot: all steps
and a hundredth of them, thinned to 1,200 points and whole. The time is from the request to the parsed answer (median of
five). With --browser (Chromium and its driver) also from a zoom to the drawn plots, thinned and with all points of all rows
in one plot.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import vaelab.web.app as web_app
from bench_diagnose import columns, write_csv
from vaelab.live import Watcher
from vaelab.web.server import Server

LIMIT = 1200
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--browser", action="store_true", help="measure the drawing in Chromium too")
    arguments = parser.parse_args()
    rows = arguments.rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.csv"
        write_csv(path, columns(rows))
        web_app.MOST_POINTS = 10 * rows  # so that the whole series can be asked for
        begun = time.perf_counter()
        with Server(Watcher([path]), port=0, interval=0.2) as server:
            while not any(view.diagnosis for view in server.poller.views.values()):
                time.sleep(0.01)
            print(
                f"{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB: read and diagnosed in {time.perf_counter() - begun:.1f} s\n"
            )
            run_id = next(iter(server.poller.views))
            points_table(f"{server.url}runs/{run_id}/points?metric=rec_loss", rows)
            if arguments.browser:
                browser_table(server.url, rows)


def points_table(address: str, rows: int) -> None:
    print("| steps shown | points | answer, kB | request to parsed answer, ms | whole series : thinned |")
    print("|---|---:|---:|---:|---|")
    for name, query in (
        ("all", f"&first=0&last={rows}"),
        ("a hundredth", f"&first={rows // 2}&last={rows // 2 + rows // 100}"),
    ):
        measured = {limit: request(f"{address}{query}&limit={limit}") for limit in (LIMIT, 10 * rows)}
        thinned, whole = measured[LIMIT], measured[10 * rows]
        ratio = f"{whole[1] / thinned[1]:.0f} : 1 in size, {whole[2] / thinned[2]:.0f} : 1 in time"
        for points, size, seconds in (thinned, whole):
            said = ratio if (points, size, seconds) == thinned else ""
            print(f"| {name} | {points:,} | {size / 1e3:,.0f} | {1e3 * seconds:,.0f} | {said} |")


def request(address: str) -> tuple[int, int, float]:
    """Points, bytes and seconds of one answer, median of ``REPEATS``."""
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        with urllib.request.urlopen(address) as answer:
            body = answer.read()
        points = len(json.loads(body)["x"])
        seconds.append(time.perf_counter() - begun)
    return points, len(body), statistics.median(seconds)


def browser_table(address: str, rows: int) -> None:
    """From a zoom to the drawn plots of the screen, and how long one plot of all points takes to draw."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1200"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(120)
        driver.get(address)
        while not driver.execute_script("return globalThis.vaelab?.pages.run.set?.entries.some(e => e.plot)"):
            time.sleep(0.05)
        plots = driver.execute_script("return vaelab.pages.run.loader.visible.size")
        zooms = [driver.execute_async_script(_ZOOM, i * rows // 10, (i + 1) * rows // 10) for i in range(REPEATS)]
        whole: dict[str, Any] = driver.execute_async_script(_WHOLE, rows)
        print(f"\n| in Chromium, plots on the screen: {plots} | ms |\n|---|---:|")
        print(
            f"| zoom to a tenth of the steps: first request to the last plot drawn | {statistics.median(zooms):,.0f} |"
        )
        print(f"| draw one plot again, thinned | {whole['thinned']:,.1f} |")
        print(f"| draw one plot again, all {rows:,} points | {whole['whole']:,.0f} |")
    finally:
        driver.quit()


# Loads what is on the screen at once; the page waits 120 ms for the end of a zoom before it asks.
_ZOOM = """
const [from, to, done] = arguments, {set, loader} = vaelab.pages.run, begun = performance.now();
set.zoom(from, to);
loader.refresh();
const shown = () => [...loader.visible].every((e) => e.loaded?.includes(`first=${from}&last=${to}&`));
const look = () => shown() ? requestAnimationFrame(() => done(performance.now() - begun)) : setTimeout(look, 1);
look();
"""

_WHOLE = """
const [rows, done] = arguments, {set} = vaelab.pages.run, entry = set.entries.find((e) => e.plot);
const x = Array.from({length: rows}, (_, i) => i), y = x.map((i) => 0.1 + 0.05 * Math.sin(i * 12.9898) % 1);
set.command("zoom-out");
const draw = (points) => new Promise((drawn) => {
  entry.plot.setData(points, false);
  setTimeout(() => {
    const begun = performance.now();
    entry.plot.setScale("x", {min: 0, max: rows});
    requestAnimationFrame(() => drawn(performance.now() - begun));
  }, 200);
});
(async () => {
  const thinned = await draw([entry.chart.x, ...entry.chart.y]);
  done({thinned, whole: await draw([x, y])});
})();
"""


if __name__ == "__main__":
    main()
