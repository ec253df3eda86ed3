"""Markdown, HTML and plots as files: sections, links that exist, hostile text, odd data, folders that cannot be."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from helpers_report import HOSTILE, column, empty_diagnosis, hostile_diagnosis, make_diagnosis, make_run
from vaelab.diagnosis import MetricVerdict, diagnose
from vaelab.errors import ConfigError
from vaelab.facts.base import Fact
from vaelab.report import draw_plots, notebook, to_dict, to_html, to_markdown, to_sarif, write_report
from vaelab.report.evidence import natural_function
from vaelab.report.schema import json_schema

SECTIONS = [
    "Overview", "Verdict", "What each metric says", "Configuration", "Phases", "Progress", "Positive signs",
    "Findings and causes", "What to expect next", "Recommendations", "How the columns were read", "Statistics", "Plots", "Questions and answers",
    "What could not be checked", "Conclusion",
]  # fmt: skip


def test_the_markdown_has_its_sections_in_order() -> None:
    text = to_markdown([make_diagnosis()])
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert "PSNR: 21.0 dB first, 33.6 dB now, best 34.0 dB." in text
    assert "\n\n\n\n" not in text


def test_an_empty_run_has_the_same_sections() -> None:
    assert re.findall(r"^## (.+)$", to_markdown([empty_diagnosis()]), re.MULTILINE) == SECTIONS


def test_a_declared_value_beside_another_inferred_one_is_remarked() -> None:
    text = "The config declares kl_weight 1e-06, the columns say 0.0001."
    facts = (
        Fact("kl_weight", "algebra", "kl_weight is 1e-4.", "inferred", 1e-4, "", 9.9e-5, 1.01e-4),
        Fact("kl_weight_mismatch", "algebra", text, "inferred", 1e-4),
    )
    diagnosis = make_diagnosis(make_run(config={"kl_weight": 1e-6}), statements=facts)
    (row,) = [line for line in to_markdown([diagnosis]).splitlines() if line.startswith("| `kl_weight`")]
    assert row == f"| `kl_weight` | 1e-6 | 1e-4 (9.9e-5 to 1.01e-4) | {text} |"


def test_hostile_text_stays_text_in_markdown() -> None:
    text = to_markdown([hostile_diagnosis()])
    prose = re.sub(r"(`+)(?:(?!\1).)*\1", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert "<script" not in prose and "<img" not in prose
    assert "\x1b" not in text


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("make", [make_diagnosis, hostile_diagnosis, empty_diagnosis])
def test_the_page_loads_nothing_and_holds_only_its_own_scripts(make: object) -> None:
    elements = _Elements()
    elements.feed(to_html([make()]))  # type: ignore[operator]
    assert sum(tag == "script" for tag, _ in elements.seen) == 3
    assert not any(tag in ("img", "iframe", "object") for tag, _ in elements.seen)
    for _, attributes in elements.seen:
        assert not any(name.startswith("on") for name in attributes)
        for link in (attributes.get("src"), attributes.get("href")):
            assert link is None or link.startswith("data:")


def test_a_run_of_many_rows_makes_a_page_of_a_few_hundred_kilobytes() -> None:
    page = to_html([make_diagnosis(make_run(20_000))])
    assert 100_000 < len(page) < 700_000


def test_the_notebook_fragment_is_small_and_escaped() -> None:
    fragment = notebook.html_of(hostile_diagnosis())
    assert HOSTILE not in fragment and "&lt;script&gt;" in fragment
    assert len(fragment) < 30_000  # with the two plots of the first view


def test_write_report_writes_every_file_and_the_links_in_it_exist(tmp_path: Path) -> None:
    small = make_run(30, columns={"lr": make_run(30).columns["lr"]})
    paths = write_report([make_diagnosis(), make_diagnosis(small)], tmp_path / "new" / "folder", plots="all")
    assert {p.name for p in paths} >= {"report.md", "report.html", "diagnosis.json", "rec_loss.png"}
    assert sorted(paths) == sorted(p for p in (tmp_path / "new").rglob("*") if p.is_file())
    linked = re.findall(r"!\[.*?\]\((.+?)\)", (tmp_path / "new" / "folder" / "report.md").read_text())
    assert len(linked) == 13
    assert all((tmp_path / "new" / "folder" / link).read_bytes().startswith(b"\x89PNG") for link in linked)


def test_a_report_draws_the_first_view_and_an_overview_and_all_plots_only_when_asked(tmp_path: Path) -> None:
    write_report([make_diagnosis()], tmp_path)
    names = {p.name for p in (tmp_path / "plots").iterdir()}
    assert names == {"first_view_1.png", "first_view_2.png", "overview.png"}


def test_a_folder_that_cannot_be_made_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^Cannot write .*\.$"):
        write_report([make_diagnosis()], tmp_path / "file" / "inside")


def test_without_matplotlib_the_report_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_report([make_diagnosis()], tmp_path)
    assert "pip install 'vaelab[plots]'" in (tmp_path / "report.md").read_text()
    with pytest.raises(ConfigError, match="matplotlib"):
        write_report([make_diagnosis()], tmp_path, ["plots"])


def test_a_plot_without_its_metric_is_left_out_and_named(tmp_path: Path) -> None:
    run = make_run(50, columns={"rec_loss": make_run(50).columns["rec_loss"]})
    plots, missing = draw_plots(make_diagnosis(run), tmp_path)
    assert [p.file for p in plots] == [
        "first_view_1.png", "rec_loss.png", "overview.png", "normalised_comparison.png", "multi_axis.png",
    ]  # fmt: skip
    assert [text.split(":")[0] for text in missing] == ["total_loss", "kl_loss", "disc_loss", "gan", "optimiser"]


def test_plots_of_odd_values(tmp_path: Path) -> None:
    odd = {
        "total_loss": [np.nan] * 20,
        "rec_loss": [1e-300, 1e300] * 10,
        "kl_loss": list(np.linspace(-1, 1e12, 20)),
        "disc_loss": [0.0] * 20,
        "logits_real": [-1e6, 1e-9] * 10,
        "logits_fake": [np.inf, 1.0] * 10,
        "d_weight": [5.0] + [np.nan] * 19,
        "grad_norm": [-np.inf, 0.0] * 10,
    }
    run = make_run(20, columns={name: column(name, v, logged=np.ones(20, bool)) for name, v in odd.items()})
    plots, missing = draw_plots(make_diagnosis(run), tmp_path)
    assert [text.split(":")[0] for text in missing] == ["total_loss"]
    assert all((tmp_path / plot.file).stat().st_size > 5000 for plot in plots)


def test_a_plot_of_many_rows_is_drawn(tmp_path: Path) -> None:
    run = make_run(200_000, columns={"rec_loss": column("rec_loss", np.geomspace(1, 1e-3, 200_000))})
    plots, _ = draw_plots(make_diagnosis(run), tmp_path)
    assert (tmp_path / plots[0].file).stat().st_size > 10_000


def test_captions_are_honest(tmp_path: Path) -> None:
    columns = make_run(50).columns
    copied = column("total_loss", columns["rec_loss"].values * 65536)
    diagnosis = make_diagnosis(make_run(50, columns={**columns, "total_loss": copied}))
    captions = {p.file: p.caption for p in draw_plots(diagnosis, tmp_path)[0]}
    assert "rec_loss times 65,536" in captions["total_loss.png"]
    assert "second copy of the reconstruction plot" in captions["total_loss.png"]
    assert "would erase scale" in captions["normalised_comparison.png"]
    assert "hide magnitudes" in captions["multi_axis.png"]
    assert "PSNR, now 33.6 dB" in captions["rec_loss.png"]


def test_the_natural_axis_follows_the_verdicts_own_numbers() -> None:
    psnr = MetricVerdict("rec_loss", "rec_loss", "ok", 0.04, 0.004, None, None, None, "falling", "PSNR", "dB", 20, 30)
    kind, constant = natural_function(psnr) or ("", 0.0)
    assert kind == "db" and constant == pytest.approx(10 * np.log10(4))
    kl = MetricVerdict("kl_loss", "kl_loss", "ok", 3072, 307.2, None, None, None, "falling", "KL", "nats", 1.0, 0.1)
    assert natural_function(kl) == ("ratio", pytest.approx(1 / 3072))
    mixed = MetricVerdict("rec_loss", "rec_loss", "ok", 0.04, 0.004, None, None, None, "falling", "PSNR", "dB", 20, 22)
    assert natural_function(mixed) is None


@pytest.mark.parametrize("rows", [0, 1, 3, 60])
def test_what_diagnose_returns_is_laid_out_in_every_format(rows: int) -> None:
    diagnosis = diagnose(make_run(rows, events=()))
    jsonschema.validate(to_dict([diagnosis]), json_schema())
    text = to_markdown([diagnosis])
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    for finding in diagnosis.findings:
        assert finding.code in text and finding.code in to_html([diagnosis])
        assert finding.code in to_sarif([diagnosis], [])
    assert diagnosis.status.upper() in notebook.html_of(diagnosis)


def test_a_notebook_shows_the_first_view_with_its_plots_and_folds_the_rest() -> None:
    fragment = notebook.html_of(make_diagnosis())
    before, _, _ = fragment.partition("<details>")
    assert before.index("STOP") < before.index("--kl_weight 1e-6") < before.index("Why") < before.index("<svg")
    assert before.count("<svg") == 2 and "nats/element" in before
    assert notebook.html_of(empty_diagnosis())
