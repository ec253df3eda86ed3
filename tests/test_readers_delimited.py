"""Delimited tables: Lightning, plain, W&B exports, broken ones."""

from __future__ import annotations

import csv
import io
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import delimited, read, read_all
from vaelab.readers.base import RawLog
from vaelab.readers.source import Source
from vaelab.readers.table_layout import Layout
from vaelab.run import Run

DATA = Path(__file__).parent / "data"


def read_text(folder: Path, text: str, name: str = "metrics.csv") -> Run:
    path = folder / name
    path.write_bytes(text.encode())
    return read(path)


def note(run: Run, kind: str) -> int:
    return sum(n.count for n in run.notes if n.kind == kind)


def test_a_lightning_log() -> None:
    run = read(DATA / "csv_lightning.csv")
    with (DATA / "csv_lightning.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (run.format, run.trainer) == ("csv", "ldm")
    train = [row for row in rows if row["train/rec_loss"]]
    steps, values = run.series("rec_loss")
    assert steps.tolist() == [int(row["step"]) for row in train]
    assert values.tolist() == [float(row["train/rec_loss"]) for row in train]
    val = [row for row in rows if row["val/rec_loss"]]
    assert run.series("val/rec_loss")[1].tolist() == [float(row["val/rec_loss"]) for row in val]
    assert run.epochs is not None and run.epochs[0] == 0
    assert run.columns["rec_loss"].decimals is None


def test_line_numbers_point_at_the_cell(tmp_path: Path) -> None:
    text = "step,rec_loss,kl_loss\n0,1,\n\n1,,5\n2,3,\n"
    run = read_text(tmp_path, text)
    lines = text.splitlines()
    assert [lines[run.line("rec_loss", r) - 1] for r in run.rows("rec_loss")] == ["0,1,", "2,3,"]  # type: ignore[operator]
    assert run.line("kl_loss", 1) == 4


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_delimiters_line_ends_and_quotes(tmp_path: Path, delimiter: str, end: str, quote: str) -> None:
    rows = [["step", "rec_loss", "kl_loss"], ["0", "0.5", "nan"], ["10", "-1e-3", ""], ["20", "inf", "2"]]
    text = end.join(delimiter.join(f"{quote}{cell}{quote}" if cell else "" for cell in row) for row in rows) + end
    run = read_text(tmp_path, text)
    assert run.steps.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(run["rec_loss"], [0.5, -1e-3, np.inf])
    np.testing.assert_array_equal(run["kl_loss"], [np.nan, np.nan, 2])
    assert run.columns["kl_loss"].logged.tolist() == [True, False, True]


@pytest.mark.parametrize("empty", ["", "None", "null", "N/A", " "])
def test_tokens_that_mean_no_value(tmp_path: Path, empty: str) -> None:
    run = read_text(tmp_path, f"step,rec_loss,lr\n0,1.5,1\n1,{empty},1\n2,2.5,1\n")
    assert run.columns["rec_loss"].logged.tolist() == [True, False, True]


@pytest.mark.parametrize(
    "name",
    ["step", "global_step", "Step", "iteration", "iter", "trainer/global_step", "_step", "batch"],
)
def test_names_of_the_step_column(tmp_path: Path, name: str) -> None:
    run = read_text(tmp_path, f"rec_loss,{name}\n1,100\n2,200\n")
    assert run.steps.tolist() == [100, 200]
    assert list(run) == ["rec_loss"]
    assert run.step_unit == "step"


def test_the_trackers_own_count_is_the_last_choice(tmp_path: Path) -> None:
    run = read_text(
        tmp_path, "_step,trainer/global_step,_timestamp,_runtime,rec_loss\n0,10,1.7e9,1,3\n1,20,1.7e9,2,4\n"
    )
    assert run.steps.tolist() == [10, 20]
    assert list(run) == ["rec_loss"]


def test_rows_are_counted_where_there_is_no_step(tmp_path: Path) -> None:
    run = read_text(tmp_path, "rec_loss,kl_loss\n1,2\n3,4\n")
    assert (run.steps.tolist(), run.step_unit) == ([0, 1], "record")
    assert note(run, "no_step_column") == 2


def test_epochs_are_steps_where_there_is_nothing_finer(tmp_path: Path) -> None:
    run = read_text(tmp_path, "epoch,loss,val_loss\n0,2,3\n1,1,2\n")
    assert (run.steps.tolist(), run.step_unit) == ([0, 1], "epoch")


def test_batches_that_begin_again_each_epoch_are_counted_on(tmp_path: Path) -> None:
    rows = [f"{epoch},{batch},{epoch + batch}" for epoch in range(3) for batch in range(0, 100, 10)]
    run = read_text(tmp_path, "epoch,batch,loss\n" + "\n".join(rows) + "\n")
    assert run.steps.tolist() == [*range(0, 300, 10)]
    assert note(run, "steps_per_epoch") == 2


def test_a_step_is_carried_over_rows_without_one(tmp_path: Path) -> None:
    run = read_text(tmp_path, "step,loss,val_loss\n5,1,\n,,7\n6,2,\n")
    assert run.steps.tolist() == [5, 6]
    assert run.series("val/total_loss")[0].tolist() in ([5], [])


def test_decimals_are_those_that_are_printed(tmp_path: Path) -> None:
    run = read_text(tmp_path, "step,rec_loss,kl_loss,d_weight\n0,0.1234,1.5,0.00001\n1,0.1200,2.25,0.00000\n")
    assert run.decimals == {"rec_loss": 4, "kl_loss": None, "d_weight": 5}


def test_rows_of_another_length_words_and_headers_are_counted(tmp_path: Path) -> None:
    text = "step,rec_loss,phase\n0,1,warm\n1,2\n2,3,warm\nstep,rec_loss,phase\n3,4,warm\n"
    run = read_text(tmp_path, text)
    assert run["rec_loss"].tolist() == [1, 3, 4]
    assert note(run, "wrong_field_count") == 1
    assert note(run, "repeated_header") == 1
    assert note(run, "unparsed_value") == 3


def test_a_test_tube_log_with_dates(tmp_path: Path) -> None:
    run = read_text(tmp_path, "created_at,global_step,loss\n2022-01-01 10:00:00.5,0,1\n2022-01-01 10:00:01.5,1,2\n")
    assert list(run) == ["total_loss"]
    assert not run.notes


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    run = read_text(tmp_path, "step,rec_loss,kl_loss\n0,1,2\n1,2,3\n2,3")
    assert run.steps.tolist() == [0, 1]
    assert note(run, "torn_line") == 1


def test_a_restart_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    steps = [*range(0, 100, 10), *range(0, 50, 10)]
    path.write_text("step,rec_loss\n" + "".join(f"{s},{i}\n" for i, s in enumerate(steps)))
    assert [len(run) for run in read_all(path)] == [10, 5]
    with pytest.raises(LogError, match="holds 2 runs"):
        read(path)


def test_a_wandb_chart_of_two_runs(tmp_path: Path) -> None:
    path = tmp_path / "wandb.csv"
    names = ["Step", *(f"{run} - train/rec_loss{end}" for run in ("a-1", "b-2") for end in ("", "__MIN", "__MAX"))]
    header = ",".join(f'"{name}"' for name in names)
    path.write_text(header + "\n" + '"0","1","1","1","","",""\n"10","","","","2","2","2"\n')
    first, second = read_all(path)
    assert (first.source, second.source) == (f"{path}[a-1]", f"{path}[b-2]")
    assert (first["rec_loss"].tolist(), second["rec_loss"].tolist()) == ([1], [2])
    assert second.steps.tolist() == [10]


@pytest.mark.parametrize("axis", ["Step", "trainer/global_step", "Relative Time (Process)", "Wall Time"])
def test_a_wandb_chart_over_any_axis(tmp_path: Path, axis: str) -> None:
    path = tmp_path / "wandb_export_2025-11-21.csv"
    names = [axis]
    for run in ("vae - big", "small"):
        names += [f"{run} - _step", f"{run} - _step__MIN", f"{run} - _step__MAX"]
        names += [f"{run} - loss_.nll_rec", f"{run} - loss_.nll_rec__MIN", f"{run} - loss_.nll_rec__MAX"]
    rows = [["10", "1", "1", "1", "5", "5", "5", "", "", "", "", "", ""],
            ["20", "", "", "", "", "", "", "1", "1", "1", "NaN", "NaN", "NaN"],
            ["30", "2", "2", "2", "4", "4", "4", "2", "2", "2", "Infinity", "Infinity", "Infinity"]]  # fmt: skip
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    big, small = read_all(path)
    assert (big.source, small.source) == (f"{path}[vae - big]", f"{path}[small]")
    assert list(big) == list(small) == ["rec_loss"]
    assert big["rec_loss"].tolist() == [5, 4]
    np.testing.assert_array_equal(small["rec_loss"], [np.nan, np.inf])
    counted = axis not in ("Relative Time (Process)", "Wall Time")
    assert (big.steps.tolist(), small.steps.tolist()) == (([10, 30], [20, 30]) if counted else ([0, 2], [1, 2]))


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("step;loss;psnr\n0;0,51;20,1\n1;0,42;21,5\n", [0.51, 0.42]),
        ("step;loss\n0;1,234\n1;1,134\n", [1.234, 1.134]),  # with a semicolon the comma is the decimal sign
        ('step,loss\n"0","0,51"\n"1","12,5"\n', [0.51, 12.5]),
        ('step,loss\n"0","1,234.5"\n"1","12,345"\n', [1234.5, 12345]),
        ("step\tloss\n0\t1.5\n1\t1,234\n", [1.5, 1234]),
        ("step;loss\n0;1.234,5\n1;0,5\n", [1234.5, 0.5]),
    ],
)
def test_decimal_commas_and_thousands(tmp_path: Path, text: str, loss: list[float]) -> None:
    assert read_text(tmp_path, text)["total_loss"].tolist() == loss


def test_a_number_that_could_be_two_is_left_out(tmp_path: Path) -> None:
    run = read_text(tmp_path, "step;loss;kl\n0;0,51;1\n1;1.234;1\n2;0,4;1\n")
    assert run.columns["total_loss"].logged.tolist() == [True, False, True]
    assert note(run, "unparsed_value") == 1


def test_suffixes_and_units_of_cells(tmp_path: Path) -> None:
    run = read_text(
        tmp_path, "step,loss,PSNR [dB],usage,t\n0,12.5k,24.5 dB,45%,1.2s\n1,0.30k,25dB,46 %,800ms\n2,1M,9,1,2s\n"
    )
    assert run["total_loss"].tolist() == [12500, 300, 1e6]
    assert run["psnr"].tolist() == [24.5, 25, 9]
    assert run["usage"].tolist() == [45, 46, 1]
    assert run.columns["t"].logged.tolist() == [True, False, True]  # 800 ms under seconds
    assert note(run, "unparsed_value") == 1


def test_quoted_fields_may_hold_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'{i},0.5,{i + 12.5},"a\n5,6,7,x"\n' for i in range(200))
    path = tmp_path / "m.csv"
    path.write_text("step,rec_loss,kl_loss,msg\n" + rows)
    for size in (1 << 20, 100):
        monkeypatch.setattr(delimited, "PIECE", size)
        run = read(path)
        assert run.steps.tolist() == [*range(200)]
        assert run["kl_loss"].tolist() == [i + 12.5 for i in range(200)]
        assert run.line("kl_loss", 3) == 8


def test_a_stray_quote_costs_its_line_only(tmp_path: Path) -> None:
    rows = [f"{i},{i}" for i in range(200)]
    rows[20] = '20,"20'
    run = read_text(tmp_path, "step,loss\n" + "\n".join(rows) + "\n")
    assert run.steps.tolist() == [i for i in range(200) if i != 20]


def test_a_markdown_table_in_a_thread(tmp_path: Path) -> None:
    text = (
        "My losses:\n\n| step | rec_loss | PSNR [dB] | note |\n|---:|:---:|---|---|\n| 0 | **0.5** | 20.1 dB | start |\n"
        "| 1,000 | 0.4 | 22 | - |\n| 2,000 | - | 23 dB | x |\n\nthanks\n"
    )
    run = read_text(tmp_path, text, "issue.md")
    assert run.steps.tolist() == [0, 1000, 2000]
    np.testing.assert_array_equal(run["rec_loss"], [0.5, 0.4, np.nan])
    assert run["psnr"].tolist() == [20.1, 22, 23]


@pytest.mark.parametrize(
    "text",
    [
        "+------+------+\n| step | loss |\n+======+======+\n| 0    | 0.5  |\n+------+------+\n| 10   | 0.4  |\n+------+------+\n",
        "\u2503 step \u2503 loss \u2503\n\u2521\u2501\u2501\u2547\u2501\u2529\n\u2502 0 \u2502 0.5 \u2502\n\u2502 10 \u2502 0.4 \u2502\n",
        "Step   Loss\n-----  -----\n0      0.5\n10     0.4\n",
        "   step  loss\n0     0   0.5\n1    10   0.4\n",
        "# step loss\n0.0e+00 5.0e-01\n1.0e+01 4.0e-01\n",
        "global step\tloss\n0\t0.5\n10\t0.4\n",
        "step,loss,\n0,0.5,\n10,0.4,\n",
        "step, loss\n0.0, 0.5\n10.0, 0.4\n",
    ],
)
def test_tables_as_tools_print_them(tmp_path: Path, text: str) -> None:
    run = read_text(tmp_path, text, "table.txt")
    assert (run.steps.tolist(), run["total_loss"].tolist()) == ([0, 10], [0.5, 0.4])
    assert run.step_unit == "step"


@pytest.mark.parametrize("text", ["0,0.5,12\n1,0.4,11\n2,0.3,10\n", "0 0.5 12\n1 0.4 11\n2 0.3 10\n"])
def test_numbers_without_names_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LogError, match="without names"):
        read_text(tmp_path, text)


def test_utf16_and_a_byte_order_mark(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-8-sig"):
        path = tmp_path / f"{encoding}.csv"
        path.write_text("step,loss\n0,0.5\n1,0.4\n", encoding=encoding)
        assert read(path)["total_loss"].tolist() == [0.5, 0.4]


def test_a_header_that_changes_names_the_rows_under_it(tmp_path: Path) -> None:
    run = read_text(tmp_path, "step,loss,kl\n0,0.5,1\n1,0.5,1\n2,0.5,1\n3,0.5,1\nstep,kl,loss,lr\n4,2,0.4,0.1\n")
    assert (run["total_loss"].tolist(), run["kl_loss"].tolist()) == ([0.5, 0.5, 0.5, 0.5, 0.4], [1, 1, 1, 1, 2])
    assert note(run, "repeated_header") == 1


def test_what_means_nothing_logged_and_what_is_nan(tmp_path: Path) -> None:
    cells = ["None", "-", "nan", "1.#QNAN", "-1.#IND", "-nan(ind)", "1.#INF", "-Infinity", "1.5D-03", "\u22122.5"]
    run = read_text(tmp_path, "step,lr,loss\n" + "".join(f"{i},1,{cell}\n" for i, cell in enumerate(cells)))
    nan = float("nan")
    np.testing.assert_array_equal(run["total_loss"], [nan, nan, nan, nan, nan, nan, np.inf, -np.inf, 1.5e-3, -2.5])
    assert run.columns["total_loss"].logged.tolist() == [False, False] + [True] * 8
    assert not note(run, "unparsed_value")


def test_nan_that_fills_a_table_up_is_nothing_logged(tmp_path: Path) -> None:
    rows = "".join(f"{i},{1 / (i + 1):.3f},{i / 10 if i % 5 == 0 else 'nan'}\n" for i in range(20))
    run = read_text(tmp_path, "step,loss,val_loss\n" + rows)
    assert run.rows("val/total_loss").tolist() == [0, 5, 10, 15]
    assert note(run, "nan_for_empty") == 16
    diverged = "".join(f"{i},{0.5 if i < 5 else 'nan'},0.1\n" for i in range(20))
    assert read_text(tmp_path, "step,loss,lr\n" + diverged).columns["total_loss"].logged.all()


def test_rows_of_another_split_and_one_value_a_row(tmp_path: Path) -> None:
    run = read_text(tmp_path, "split,epoch,loss\ntrain,1,0.5\nval,1,0.6\ntrain,2,0.4\nval,2,0.55\n")
    assert (run["total_loss"].tolist(), run["val/total_loss"].tolist()) == ([0.5, 0.4], [0.6, 0.55])
    run = read_text(tmp_path, "step,metric,value\n1,loss,0.5\n1,kl_loss,3\n2,loss,0.4\n2,kl_loss,4\n")
    assert (run["total_loss"].tolist(), run["kl_loss"].tolist()) == ([0.5, 0.4], [3, 4])


CELL = st.one_of(st.none(), st.floats(), st.floats(width=32), st.integers(-(10**6), 10**6).map(float))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=30),
    st.sampled_from([repr, "{:.17g}".format, "{:e}".format]),
    st.booleans(),
)
def test_sparse_tables_round_trip_both_ways(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float | None]], spell: object, quoted: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow(["step", "a", "b", "c"])
    cells = [["" if v is None else spell(v) for v in row] for row in rows]  # type: ignore[operator]
    for step, row in enumerate(cells):
        writer.writerow([step, *row])
    writer.writerow([len(rows), "1", "1", "1"])
    path = tmp_path_factory.mktemp("csv") / "m.csv"
    path.write_text(text.getvalue())
    run = read(path)
    for i, name in enumerate("abc"):
        expected = {step: float(row[i]) for step, row in enumerate(cells) if row[i]} | {len(rows): 1.0}
        logged = run.rows(name)
        assert run.steps[logged].tolist() == list(expected)
        np.testing.assert_array_equal(run[name][logged], list(expected.values()))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.sampled_from(["1", "-2.5", "1e5", "nan", "inf", "", " ", "1-2", "1.2.3", "x", "+", "0x1", "1_0", "--"]),
        min_size=4,
        max_size=40,
    )
)
def test_pieces_and_rows_are_read_alike(cells: list[str]) -> None:
    """The path for whole pieces must give up, or give what the path for single rows gives."""
    rows = [cells[i : i + 2] for i in range(0, len(cells) - 1, 2)]
    body = "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(rows)).encode()
    layout = Layout(",", ["step", "a", "b"], 0)
    fast, careful = delimited._Parser(layout), delimited._Parser(layout)
    if not fast._add_block(body, 1, len(rows)):
        return
    careful._add_text(body, 1)
    assert fast.table.lines == careful.table.lines
    for name in careful.table.names:
        for one, other in zip(fast.table.column(name), careful.table.column(name), strict=True):
            np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet='1205.,-e" \t\r\nnauNltfs;[]{}:', max_size=60), st.sampled_from([",", ";", "\t"]))
def test_whatever_is_read_at_once_is_read_alike_row_by_row(text: str, delimiter: str) -> None:
    body = (text + "\n").encode()
    layout = Layout(delimiter, ["step", "a"], 0)
    fast, careful = delimited._Parser(layout), delimited._Parser(layout)
    if not fast._add_block(body, 1, body.count(b"\n")):
        return
    careful._add_text(body, 1)
    careful.end()
    assert fast.table.lines == careful.table.lines
    for name in careful.table.names:
        for one, other in zip(fast.table.column(name), careful.table.column(name), strict=True):
            np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_numbers_are_those_of_float(numbers: list[float]) -> None:
    halfway = [
        str(Decimal(x) + (Decimal(math.nextafter(x, math.inf)) - Decimal(x)) / 2) for x in numbers if abs(x) < 1e300
    ]
    texts = [spell(x) for x in numbers for spell in (repr, "{:.17e}".format, "{:.3g}".format)] + halfway
    body = "".join(f"{i},{text}\n" for i, text in enumerate(texts)).encode()
    parser = delimited._Parser(Layout(",", ["step", "a"], 0))
    parser.add(body)
    assert parser.table.column("a")[0].tolist() == [float(text) for text in texts]


def test_large_files_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.csv"
    path.write_text("step,rec_loss\n" + "".join(f"{i},{i / 7!r}\n" for i in range(3000)))
    whole = read(path)
    chunks = Source.chunks
    monkeypatch.setattr(Source, "chunks", lambda self, size=0: chunks(self, 100))
    pieces = read(path)
    np.testing.assert_array_equal(whole["rec_loss"], pieces["rec_loss"])
    assert pieces.columns["rec_loss"].lines is not None
    np.testing.assert_array_equal(whole.columns["rec_loss"].lines, pieces.columns["rec_loss"].lines)  # type: ignore[arg-type]


def test_every_cut_of_a_real_log_reads_or_says_why(tmp_path: Path) -> None:
    data = (DATA / "csv_lightning.csv").read_bytes()[:2500]
    path = tmp_path / "m.csv"
    rows = 0
    for cut in range(1, len(data), 7):
        path.write_bytes(data[:cut])
        try:
            rows = len(read(path))
        except LogError:
            assert rows == 0, "once there are rows, more bytes must not lose them"
    assert rows > 5


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_read_or_raise_a_log_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "m.csv"
    path.write_bytes(b"step,a\n0,1\n" + data)
    try:
        logs: list[RawLog] = delimited.READER.read(Source(path))
        assert logs
    except LogError:
        pass
