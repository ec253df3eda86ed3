"""The terminal screen: one screen, readable without colour, at 80 columns, and deaf to terminal escapes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from helpers_report import empty_diagnosis, hostile_diagnosis, make_diagnosis, make_run
from vaelab import read
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.report import render
from vaelab.report.evidence import now_text
from vaelab.report.first_view import first_view
from vaelab.run import ReadNote


def screen(*diagnoses: Diagnosis, width: int = 100, **options: bool) -> str:
    file = io.StringIO()
    render(diagnoses, Console(file=file, width=width, **options))
    return file.getvalue()


def test_one_run_fits_on_one_screen() -> None:
    text = screen(make_diagnosis())
    assert len(text.splitlines()) <= 50  # six of them are the plot of the first view
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    "expected",
    [
        "STOP  The KL weight is too large", "Change  --kl_weight 1e-6", "Why     KL weight too big (71% likely)", "Confidence 83%: fairly sure", "rec_loss", "PSNR 21.0 to 33.6 dB",
        "G GAN start at 4,000; R resume at 7,000", "critical V101 kl-dominates, steps 1,000 to 9,980",
        "KL share of total 97.3% (step 1,000, line 105)", "71% C2 KL weight too big (kl-weight-too-big)",
        "for D103; against V101", "--kl_weight 1e-6", "What would change this verdict",
        "3 rules, for lack of: latents_std (2), val/rec_loss (1)",
    ],
)  # fmt: skip
def test_the_screen_says(expected: str) -> None:
    assert expected in screen(make_diagnosis())


def test_at_80_columns_no_number_is_cut() -> None:
    text = screen(make_diagnosis(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    for number in ("37,881", "0.00174", "0.0315"):
        assert number in text
    assert "…" not in text


def test_without_a_terminal_there_are_no_escapes_and_nothing_rests_on_colour() -> None:
    plain = screen(make_diagnosis())
    coloured = screen(make_diagnosis(), force_terminal=True, no_color=True)
    assert "\x1b" not in plain
    assert "critical" in coloured and "STOP" in coloured


@pytest.mark.parametrize("width", [20, 60, 100, 300])
def test_odd_runs_are_laid_out_at_any_width(width: int) -> None:
    for diagnosis in (hostile_diagnosis(), empty_diagnosis(), make_diagnosis(make_run(1)), make_diagnosis(make_run(2))):
        text = screen(diagnosis, width=width)
        assert diagnosis.status.upper() in text
        assert "\x1b" not in text


def test_text_with_square_brackets_is_not_taken_for_markup() -> None:
    assert "values in [-1, 1] and [bold]" in screen(make_diagnosis(headline="values in [-1, 1] and [bold]"))


def test_several_runs_make_a_table_with_one_row_each() -> None:
    healthy = make_diagnosis(status="healthy", headline="All is well", findings=(), causes=())
    text = screen(make_diagnosis(), healthy, empty_diagnosis(), width=140)
    assert "top cause" in text
    for status in ("stop", "healthy", "cannot-tell"):
        assert sum(line.split()[:1] == [status] for line in text.splitlines()) == 1


def test_a_table_of_runs_says_what_to_change_and_breaks_no_word_at_80_columns() -> None:
    runs = [make_diagnosis(make_run(20, source=f"logs/a-name-of-some-length-{i}/train.log")) for i in range(2)]
    lines = screen(*runs, width=80).splitlines()
    assert sum(line.split()[1:2] == [f"a-name-of-some-length-{i}/"] for line in lines for i in range(2)) == 2
    assert sum(line.strip().startswith("train.log") for line in lines) == 2
    words = first_view(runs[0]).changes[0].text.split()
    assert words and all(sum(word in line for line in lines) >= 2 for word in words)


def test_the_folder_that_all_runs_share_is_said_once() -> None:
    runs = [make_diagnosis(make_run(20, source=f"/data/project/logs/{name}.log")) for name in ("one", "two")]
    text = screen(*runs, width=120)
    assert text.splitlines()[0].rstrip() == "2 runs under /data/project/logs/"
    assert text.splitlines()[-1] == "vaelab diagnose /data/project/logs/one.log  says more."
    assert text.count("/data/") == 2, "in the heading, and in the command to paste"


def test_what_reading_lost_is_said_on_the_screen_and_ordinary_notes_are_not() -> None:
    notes = (
        ReadNote("truncated_gzip", 1, "the gzip file is cut short"),
        ReadNote("foreign_lines", 3, "lines without metrics, passed over: 3"),
    )
    run = replace(make_run(), notes=notes)
    text = screen(make_diagnosis(run))
    assert "Reading: the gzip file is cut short" in text
    assert "passed over" not in text


def test_one_row_is_not_written_in_the_plural() -> None:
    assert "1 row, step" in screen(make_diagnosis(make_run(1)))


def test_verdict_change_why_and_plot_stand_in_the_first_twelve_lines() -> None:
    """They were on lines 1, 37 and 35 of 58, and there was no plot."""
    for width in (80, 100, 140):
        first = screen(make_diagnosis(), width=width).splitlines()[:12]
        assert first[0].startswith("STOP")
        assert any("--kl_weight 1e-6" in line for line in first[1:3])
        assert any(line.startswith("Why") for line in first)
        assert sum("█" in line for line in first) >= 3 and any("─" in line and "G" in line for line in first)


def test_a_terminal_without_unicode_gets_a_plot_of_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    render([make_diagnosis()], Console(file=file, width=100))
    file.flush()
    text = file.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "####" in text and "?" not in text


def test_a_column_that_ends_in_nan_says_so(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"{i},{0.5 - 0.001 * i if i < 80 else float('nan')},{12 + i}" for i in range(120)]
    log.write_text("step,rec_loss,kl_loss\n" + "\n".join(rows) + "\n")
    assert now_text(diagnose(read(log)), "rec_loss").startswith("NaN since step 80; 0.42")
