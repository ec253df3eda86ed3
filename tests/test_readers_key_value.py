"""Progress bars and key: value text of no particular trainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vaelab
from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.building import build_runs
from vaelab.readers.key_value import READER
from vaelab.readers.metric_names import looks_like_metric, may_be_metric
from vaelab.readers.source import Source
from vaelab.run import Smoothing

DATA = Path(__file__).parent / "data"


@pytest.fixture
def log(tmp_path: Path):
    def read(text: str | bytes) -> RawLog:
        path = tmp_path / "out.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        (raw,) = READER.read(Source(path))
        return raw

    return read


def values(raw: RawLog) -> dict[str, list[float]]:
    return {c.original: c.values[c.logged].tolist() for c in raw.columns}


def test_diffusers_bar_with_alternating_dicts() -> None:
    source = Source(DATA / "kv_diffusers_bar.log")
    assert READER.sniff(source.head(), source) > 0
    (raw,) = READER.read(source)
    assert raw.steps.tolist() == [1000, 1001, 1002]
    got = values(raw)
    assert got["kl_loss"] == [22245.6, 22301.2]
    assert got["loss"] == [20100.0, 19800.0]
    assert got["logits_fake"] == [-0.0045]
    assert all(set(c.lines) == {1} for c in raw.columns), "a carriage return does not begin a new line"
    (run,) = build_runs(raw)
    assert "disc_loss" in run and "rec_loss" in run


def test_a_bar_drawn_before_its_numbers_counts_no_numbers_of_the_step_before(log) -> None:
    shown = [
        (1, "g_loss=0.5, kl=30"),
        (2, "g_loss=0.5, kl=30"),  # tqdm's update draws the new step, set_postfix its numbers
        (2, "d_loss=2"),
        (3, "d_loss=2"),
        (3, "g_loss=0.5, kl=30"),  # equal to step 1 by chance: a row
        (4, "g_loss=0.5, kl=30"),
        (4, "d_loss=1.5"),
    ]
    bar = "".join(f"\rSteps: {25 * step:3d}%|##| {step}/4 [00:0{step}<00:00, 1.00it/s, {end}]" for step, end in shown)
    raw = log(bar + "\n")
    assert raw.steps.tolist() == [1, 2, 3, 4]
    assert values(raw) == {"g_loss": [0.5, 0.5], "kl": [30.0, 30.0], "d_loss": [2.0, 1.5]}


def test_a_bar_leaves_zeros_at_the_end_away(log) -> None:
    shown = ("loss=20.1, lr=0.001, w=0.0000", "loss=2.25, lr=0.001, w=0.0001", "loss=0.5, lr=0.001, w=0.0001")
    raw = log("".join(f"\rSteps: 50%|#| {i}/4 [00:01<00:02, 1.00it/s, {s}]" for i, s in enumerate(shown, 1)) + "\n")
    decimals = {c.original: c.decimals for c in raw.columns}
    assert decimals == {"loss": 1, "lr": 5, "w": 4}, "w is printed with four decimals by the trainer"


def test_lightning_bar_counts_over_epochs(log) -> None:
    raw = log(
        "Sanity Checking DataLoader 0: 100%|##| 2/2 [00:00<00:00, loss=9.0]\n"
        "Epoch 0: 100%|##########| 5000/5000 [10:12<00:00,  1.01s/it, loss=0.5, v_num=0, train/aeloss_step=0.6]\r"
        "Epoch 1:  12%|#2        | 600/5000 [10:12<1:14:10,  1.01s/it, loss=0.493, v_num=0, train/aeloss_step=2.05e+4]\n"
    )
    assert raw.steps.tolist() == [5000, 5600]
    assert raw.epochs is not None and raw.epochs.tolist() == [0, 1]
    assert values(raw) == {"loss": [0.5, 0.493], "train/aeloss_step": [0.6, 20500.0]}
    assert next(c for c in raw.columns if c.original == "loss").smoothing == Smoothing("unknown")
    assert next(c for c in raw.columns if c.original == "train/aeloss_step").decimals == -2, "2.05e+4 is known to 100"


@pytest.mark.parametrize(
    "text",
    [
        "step 100: loss=0.5 kl: 3.2\nstep 200: loss=0.25 kl: nan\n",
        "Iter 100/2000 | loss 0.5 | kl: 3.2\nIter 200/2000 | loss 0.25 | kl: nan\n",
        "[2026-01-01 10:00:00] INFO global_step=100, loss: 0.5000, kl: 3.2 (avg)\r\n[x] global_step=200, loss: 0.25, kl: nan\r\n",
        "{'step': 100, 'loss': 0.5, 'kl': 3.2}\n{'step': 200, 'loss': 0.25, 'kl': nan}\n",
        "\x1b[32mstep\x1b[0m 100 loss: tensor(0.5, device='cuda:0') kl=3.2\n\x1b[32mstep\x1b[0m 200 loss: 2.5e-1 kl=nan\n",
    ],
)
def test_one_line_a_step(log, text: str) -> None:
    raw = log(text)
    assert raw.steps.tolist() == [100, 200] and raw.step_unit == "step"
    got = {c.original: c.values for c in raw.columns}
    assert got["loss"].tolist() == [0.5, 0.25]
    assert got["kl"][0] == 3.2 and np.isnan(got["kl"][1])
    assert next(c for c in raw.columns if c.original == "kl").logged.all()


def test_records_of_many_lines_without_a_step(log) -> None:
    head = "2024-10-18 10:00:0{},123 - __main__ - INFO - Epoch [0/20] - d_loss: 0.69{}\n"
    rest = "\tgan_loss: 0.6931\n\tABS mu (0.0): average_of_abs_z: 0.8012\n\tz_quantiles/kurtosis: 3.0120\n"
    raw = log(head.format(0, 1) + rest + head.format(1, 2) + rest)
    assert raw.step_unit == "record" and raw.steps.tolist() == [0, 1]
    assert raw.epochs is not None and raw.epochs.tolist() == [0, 0]
    got = values(raw)
    assert got["d_loss"] == [0.691, 0.692]
    assert got["z_quantiles/kurtosis"] == [3.012, 3.012]
    assert any(n.kind == "no_step_column" for n in raw.notes)


def test_step_on_a_line_of_its_own(log) -> None:
    raw = log("step 0\nrecon loss: 0.5\ndiscr loss: 2.0\nstep 1\nrecon loss: 0.4\nvalidation recon loss 0.3\n")
    assert raw.steps.tolist() == [0, 1]
    (run,) = build_runs(raw)
    assert run["rec_loss"].tolist() == [0.5, 0.4]
    assert run["val/rec_loss"][1] == 0.3


def test_steps_that_begin_again_in_each_epoch(log) -> None:
    raw = log("".join(f"Epoch [{e}/3], Step [{s}/200], Loss: 0.{e}{s}\n" for e in (1, 2, 3) for s in (100, 200)))
    assert np.diff(raw.steps).tolist() == [100] * 5


def test_one_line_an_epoch(log) -> None:
    raw = log("Epoch: 3, train_loss=0.5, val_loss=0.4\nEpoch: 4, train_loss=0.5, val_loss=0.4\n")
    assert raw.steps.tolist() == [3, 4] and raw.step_unit == "epoch"


def test_options_are_no_rows(log) -> None:
    raw = log("batch_size: 4\nlr: 0.1\nkl_weight: 1e-6\ndisc_start = 50001\nloss_type: 2\nstep 1: loss=0.5\n")
    assert raw.steps.tolist() == [1] and values(raw) == {"loss": [0.5]}
    assert next(n for n in raw.notes if n.kind == "foreign_lines").count == 5


def test_open_sora_text_with_colours(log) -> None:
    raw = log(
        "[\x1b[34m2025-05-22 10:11:12\x1b[0m] Training for 100 epochs with 5623 steps per epoch\n"
        "Epoch 0:  12%|#2        | 600/5000 [10:00<12:00, 1.0s/it, all=20123.40, nll=20430.10, kl=0.00, gen_w=-306.70]\n"
        "[\x1b[34m2025-05-22 10:11:12\x1b[0m] Saved checkpoint at epoch 0, step 3000, global_step 3000 to outputs\n"
    )
    assert raw.steps.tolist() == [600]
    assert values(raw)["all"] == [20123.4]
    assert [(e.kind, e.step) for e in raw.events] == [("checkpoint", 3000)]


def test_a_bar_without_numbers_is_no_log(log) -> None:
    text = (
        "[rank0] 2025-01-01 10:00:00 - INFO - hello\nEpoch: 3, Loss: -:   3%|3  | 1200/40000 [10:00<12:00, 1.0s/it]\n"
    )
    with pytest.raises(LogError, match="no line with a number under the name of a metric"):
        log(text)


def test_a_cut_last_line_is_no_row(log) -> None:
    raw = log("step 1: loss=0.5\nstep 2: loss=0.2")
    assert raw.steps.tolist() == [1]
    assert [n.kind for n in raw.notes] == ["torn_line"]


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        "train/rec_loss",
        "kl",
        "PSNR",
        "d_weight",
        "disc_factor",
        "recon loss",
        "val_mse",
        "Mel-Spec. Error",
        "ELBO",
        "discloss",
        "codebook usage",
    ],
)
def test_names_of_metrics(name: str) -> None:
    assert looks_like_metric(name)


@pytest.mark.parametrize(
    "name",
    [
        "lr",
        "batch_size",
        "kl_weight",
        "disc_start",
        "loss_type",
        "port",
        "time",
        "num_workers",
        "codebook_size",
        "Discriminator",
        "generator",
        "clip",
        "content",
    ],
)
def test_names_of_options(name: str) -> None:
    assert not looks_like_metric(name)


# Kinds of logs that trainers print ------------------------------------------------------------------------------------


def bar(epoch: int, at: int, total: int, items: str) -> str:
    return f"Epoch {epoch}: {100 * at // total:3d}%|{'█' * (10 * at // total):<10}| {at}/{total} [00:0{at % 10}<00:18,  1.21it/s, {items}]\n"


def test_a_bar_that_is_drawn_at_zero_before_the_next_epoch_begins(log) -> None:
    text, losses = "", []
    for epoch in range(4):
        for at in (10, 26):
            losses.append(round(1 / (epoch * 26 + at), 3))
            text += bar(epoch, at, 26, f"v_num=0, train_loss={losses[-1]}")
        text += bar(epoch, 0, 26, f"v_num=0, train_loss={losses[-1]}") + bar(
            epoch + 1, 0, 26, f"train_loss={losses[-1]}"
        )
    raw = log(text)
    assert raw.steps.tolist() == [26 * e + at for e in range(4) for at in (10, 26)]
    assert values(raw) == {"train_loss": losses}


def test_a_bar_inside_a_bar_of_epochs(log) -> None:
    inner = "Training: 50%|#####     | {}/20 [00:01<00:02, 6.9it/s, loss={}]\n"
    text = ""
    for epoch in range(3):
        text += inner.format(10, 0.5 - epoch / 10) + inner.format(20, 0.45 - epoch / 10)
        text += f"Epochs:  33%|###   | {epoch + 1}/3 [00:03<00:00, 6.9it/s, loss=0.9]\n"
    raw = log(text)
    assert raw.steps.tolist() == [10, 20, 30, 40, 50, 60]
    assert values(raw)["loss"][-1] == 0.25
    assert next(n for n in raw.notes if n.kind == "left_aside").count == 3


def test_lines_without_a_bar_among_bars(log) -> None:
    raw = log(bar(0, 10, 20, "loss=0.5") + "step 15: val_loss 0.6\n" + bar(0, 20, 20, "loss=0.4"))
    assert raw.steps.tolist() == [10, 15, 20]
    assert values(raw) == {"loss": [0.5, 0.4], "val_loss": [0.6]}


def test_keras_names_the_epoch_on_a_line_of_its_own(log) -> None:
    raw = log("".join(f"Epoch {e}/3\n547/547 ━━━━━━ 5s 9ms/step - loss: {e}.25 - val_loss: 2.5\n" for e in (1, 2, 3)))
    assert raw.steps.tolist() == [547, 1094, 1641]
    assert raw.epochs is not None and raw.epochs.tolist() == [1, 2, 3]
    assert values(raw) == {"loss": [1.25, 2.25, 3.25], "val_loss": [2.5, 2.5, 2.5]}


@pytest.mark.parametrize("clock", [True, False])
def test_the_line_with_the_step_may_end_its_record(log, clock: bool) -> None:
    text = ""
    for i in range(5):
        lines = (
            f"(Generator) rec_loss: 0.{i}5",
            f"(Discriminator) logits_real: {i}.5",
            f"(step={i * 100:07d}) Train Loss: {i}",
        )
        text += "".join(f"[10:0{i}:40] {line}\n" if clock else f"{line}\n" for line in lines)
    raw = log(text)
    assert raw.steps.tolist() == [0, 100, 200, 300, 400]
    assert values(raw)["rec_loss"] == [0.05, 0.15, 0.25, 0.35, 0.45]
    assert values(raw)["Train Loss"] == [0, 1, 2, 3, 4]


def test_one_metric_a_line(log) -> None:
    raw = log(
        "".join(
            f"(trainerGAN:333) INFO: (Steps: {s}) {n} = {s}.5.\n" for s in (1000, 2000) for n in ("mel_loss", "ppl_0")
        )
    )
    assert raw.steps.tolist() == [1000, 2000] and raw.step_unit == "step"
    assert values(raw) == {"mel_loss": [1000.5, 2000.5], "ppl_0": [1000.5, 2000.5]}


def test_epochs_counted_from_one_and_an_epoch_summary(log) -> None:
    line = "[x][INFO] - Train | Epoch {} | {}/2000 | 3.5 it/sec | l1 0.{} | d_loss 1.5\n"
    raw = log(
        "".join(line.format(e, at, e) for e in (1, 2) for at in (1000, 2000))
        + "[x][INFO] - Valid | Epoch 2 | 7/50 | l1 0.7\n[x][INFO] - Train Summary | Epoch 2 | l1=0.21\n"
    )
    assert raw.steps.tolist() == [1000, 2000, 3000, 4000]
    got = values(raw)
    assert got["l1"] == [0.1, 0.1, 0.2, 0.2] and got["val/l1"] == [0.7] and got["epoch/l1"] == [0.21]


def test_samples_of_an_epoch_are_no_steps(log) -> None:
    raw = log(
        "".join(f"Train Epoch: {e} [{n}/60000 ({n // 600}%)]\tLoss: {e}.5\n" for e in (1, 2) for n in (0, 30000))
        + "====> Epoch: 2 Average loss: 1.25\n====> Test set loss: 1.5\n"
    )
    assert raw.step_unit == "sample" and raw.steps.tolist() == [0, 30000, 60000, 90000]
    assert values(raw) == {"Loss": [1.5, 1.5, 2.5, 2.5], "Average loss": [1.25], "Test set loss": [1.5]}


def test_values_that_cannot_be_read_are_counted_with_an_example(log) -> None:
    raw = log(
        "step 1: kl_loss=0,51 rec_loss=0.5\nstep 2: kl_loss=0.52 rec_loss=1.2.3\nstep 3: kl_loss=0.53 rec_loss=0.7\n"
    )
    assert values(raw) == {"kl_loss": [0.52, 0.53], "rec_loss": [0.5, 0.7]}
    notes = {n.text for n in raw.notes if n.kind == "unparsed_value"}
    assert any("'kl_loss'" in text and "0,51" in text for text in notes) and any("1.2.3" in text for text in notes)


def test_other_processes_are_left_out_by_their_rank(log) -> None:
    raw = log("".join(f"[rank{r}]: step {s}: loss=0.{r}{s}\n" for s in (1, 2, 3) for r in (1, 0)))
    assert values(raw) == {"loss": [0.01, 0.02, 0.03]}
    assert next(n for n in raw.notes if n.kind == "other_rank").count == 3


def test_each_start_in_a_file_keeps_its_settings(log) -> None:
    once = "Namespace(lr={}, disc_start=5)\n" + "".join(f"step {s}: rec_loss=0.5 kl_loss=3\n" for s in (0, 10, 20))
    first, second = build_runs(log(once.format(0.1) + once.format(0.2)))
    assert (first.raw_config["lr"], second.raw_config["lr"]) == (0.1, 0.2)


def test_decimal_commas(log) -> None:
    raw = log("".join(f"step {i}: rec_loss=0,5{i} kl_loss=3,5\n" for i in range(9)))
    assert values(raw)["rec_loss"] == [float(f"0.5{i}") for i in range(9)]


@pytest.mark.parametrize("name", ["fm", "fake", "clip", "grad_norm", "codebook", "adv", "mel"])
def test_names_that_are_metrics_beside_a_step_only(name: str) -> None:
    assert may_be_metric(name) and not looks_like_metric(name)


@pytest.mark.parametrize(
    "name", ["disc_start", "codebook_size", "lr", "kl_weight", "embedding dim", "discriminator parameters", "l", "gpu"]
)
def test_settings_are_metrics_nowhere(name: str) -> None:
    assert not may_be_metric(name)


def test_names_with_points_signs_and_brackets(log) -> None:
    raw = log(
        "".join(
            f"Steps : {i}, Mel-Spec. Error : 0.{i}, active %: 12.{i}, loss (total): 0.5{i}, s/b : 0.4, D(G(z)): 0.{i}1, total 0.6{i}\n"
            for i in range(1, 10)
        )
    )
    assert [c.original for c in raw.columns] == [
        "Mel-Spec. Error", "active %", "loss (total)", "s/b", "D(G(z))", "total"
    ]  # fmt: skip
    assert raw.steps.tolist() == list(range(1, 10))


def test_the_end_of_a_sentence_is_no_name(log) -> None:
    raw = log("Epoch 1 done. Loss: 0.5\nEpoch 2 done. Loss: 0.4\n")
    assert [c.original for c in raw.columns] == ["Loss"]


def test_what_has_no_name_is_counted(log) -> None:
    raw = log("".join(f"step {i} loss: 0.{i} loss{{rec}}: 0.3 |grad|: 0.2\n" for i in range(1, 21)))
    note = next(n for n in raw.notes if n.kind == "unnamed_values")
    assert note.count == 40 and "'loss{rec' (20)" in note.text and "'grad' (20)" in note.text


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        ("[{0}0] loss=tensor(0.{0}, device='cuda:0')", [10, 20, 30]),
        ("global_step={0}00k rec_loss=0.{0}", [100_000, 200_000, 300_000]),
        ("it/total={0}00/5000 | rec_loss 0.{0}", [100, 200, 300]),
        ("| {0}000 steps | recon 0.{0} |", [1000, 2000, 3000]),
        ("step={0}.0 loss=0.{0}", [1, 2, 3]),
        ("[1/25][{0}/1563] Loss_D: 0.{0}", [1, 2, 3]),
    ],
)
def test_spellings_of_the_step(log, row: str, steps: list[int]) -> None:
    assert log("".join(row.format(i) + "\n" for i in (1, 2, 3))).steps.tolist() == steps


def test_a_step_in_brackets_holds_where_other_lines_name_a_step_without_metrics(log) -> None:
    """Of 1Konny/Beta-VAE: "Saved checkpoint(iter:400)" between the rows is not their step."""
    rows = [f"[{i * 100}] recon_loss:{900 / i:.3f} total_kld:{i:.3f}\nvar1:1.01 var2:0.98 \n" for i in range(1, 9)]
    raw = log("".join([*rows[:4], "Saved checkpoint(iter:400)\n", *rows[4:], "Saved checkpoint(iter:800)\n"]))
    assert raw.steps.tolist() == [100 * i for i in range(1, 9)]
    assert values(raw)["total_kld"] == [float(i) for i in range(1, 9)]


def test_a_number_in_brackets_that_does_not_grow_is_no_step(log) -> None:
    raw = log("".join(f"[{i % 2}] epoch {i} loss=0.{i}\n" for i in range(1, 9)))
    assert raw.steps.tolist() == list(range(1, 9)) and raw.step_unit == "epoch"


def test_lists_whose_places_are_names(log) -> None:
    row = "2023-04-01 10:00:00,1\tljs\tINFO\t"
    raw = log(
        "".join(
            f"{row}Train Epoch: 1 [{i}%]\n{row}[2.{i}, 3.1, nan, 30.5, 1e-05, 1.8, {200 * i}, 0.0002]\n"
            for i in range(20)
        )
    )
    names = ["loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_dur", "loss_kl", "lr"]
    assert [c.original for c in raw.columns] == names
    assert raw.steps.tolist() == list(range(0, 4000, 200))
    assert [c.values[-1] for c in raw.columns if c.original in ("loss_disc", "loss_mel", "lr")] == [2.19, 30.5, 0.0002]


def test_a_list_of_step_and_rate_before_its_losses(log) -> None:
    raw = log("".join(f"INFO:x:[{200 * i}, 9.9e-05]\nINFO:x:loss_disc=4.{i}, loss_mel=2{i}.5\n" for i in range(9)))
    assert {c.original: c.values[-1] for c in raw.columns} == {"lr": 9.9e-05, "loss_disc": 4.8, "loss_mel": 28.5}
    assert raw.steps.tolist() == list(range(0, 1800, 200))


def test_losses_in_a_list_beside_their_step(log) -> None:
    raw = log("".join(f"Losses: [2.{i}, 2.5, 7.9, 20.8, 0.5], step: {i}, lr: 0.0001\n" for i in range(9)))
    assert [c.original for c in raw.columns] == ["loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_kl", "lr"]
    assert raw.steps.tolist() == list(range(9))


def test_decimal_commas_between_fields_with_commas(log) -> None:
    raw = log(
        "".join(
            f"Epoch: 1/10, Iteration: {i}00/1000, rec_loss=0,5{i}; kl_loss=12,5, psnr=20,0{i}\n" for i in range(1, 9)
        )
    )
    assert {c.original: c.values[-1] for c in raw.columns} == {"rec_loss": 0.58, "kl_loss": 12.5, "psnr": 20.08}
    assert raw.steps.tolist() == list(range(100, 900, 100))


def test_only_the_last_step_of_each_epoch_is_logged(log) -> None:
    raw = log("".join(f"epoch: {i} step: 500, loss is 0.{i}\n" for i in range(1, 9)))
    assert raw.steps.tolist() == list(range(500, 4500, 500))


def test_a_step_that_is_said_twice_at_an_epochs_end_counts_on(log) -> None:
    rows = [(1, 100), (1, 200), (2, 200), (2, 400), (3, 400), (3, 600)]
    raw = log("".join(f"epoch: {epoch} step: {step} loss: 0.{step}{epoch}\n" for epoch, step in rows))
    assert raw.steps.tolist() == [step for _, step in rows]


def test_what_is_printed_behind_an_open_bar_is_a_line_of_its_own(log) -> None:
    bar = "\r 10%|#    | {0}/100 [00:01<01:06, 4.46it/s]"
    text = "".join(
        bar.format(i) + f"2026-01-01 10:00:0{i} INFO step: {i}, rec_loss: 0.{i}, kl_loss: 3.5\n" for i in range(1, 9)
    )
    raw = log(text)
    assert raw.steps.tolist() == list(range(1, 9))
    assert next(c for c in raw.columns if c.original == "rec_loss").values.tolist() == [i / 10 for i in range(1, 9)]


def test_a_postfix_behind_the_clock_of_a_bar_belongs_to_it(log) -> None:
    raw = log("".join(f"\r{i}%|#    | {i}/100 [00:01<01:06, 4.46it/s], loss=0.{i}" for i in range(1, 9)) + "\n")
    assert raw.steps.tolist() == list(range(1, 9))


def test_of_a_bar_drawn_over_with_backspaces_the_last_state_is_the_row(log) -> None:
    bar = "\r\x1b[1m{}/469\x1b[0m \x1b[32m━━━\x1b[0m \x1b[1m4s\x1b[0m 17ms/step - loss: 0.{}"
    raw = log("".join(f"Epoch {i}/8\n{bar.format(230, 99)}{chr(8) * 40}{bar.format(469, i)}\n" for i in range(1, 9)))
    assert raw.columns[0].values.tolist() == [i / 10 for i in range(1, 9)]
    assert raw.steps.tolist() == [469 * i for i in range(1, 9)]


def test_most_lines_with_numbers_passed_over_is_said(log) -> None:
    table = "".join(f"  term{i}/x ~ 0.{i}12 ~ 0.{i}34\n" for i in range(4))
    raw = log("".join(f"step {s} loss: 0.{s}\n{table}" for s in range(1, 31)))
    note = next(n for n in raw.notes if n.kind == "mostly_unread")
    assert note.count == 120 and note.first_line == 2
    assert note.text.startswith("120 of 150 lines with numbers were passed over; the first: term0/x ~ 0.012")


def test_times_settings_and_a_few_lines_are_not_mostly_unread(log) -> None:
    settings = "".join(f"option_{chr(97 + i)}{chr(97 + i)}: 0.5\n" for i in range(26))
    rows = "".join(
        f"step {s} loss: 0.{s}\nepoch time: {s}.25 ms\nsaved in 0.5 s\nmemory: 11.2 GB\n" for s in range(1, 31)
    )
    assert "mostly_unread" not in [n.kind for n in log(settings + rows).notes]


def test_a_bar_cut_at_the_width_of_the_terminal_may_end_within_a_number(log) -> None:
    raw = log("".join(bar(e, 20, 20, f"rec_loss=0.{e}5, gen_loss=0.25").replace("25]", "2") for e in (0, 1, 2)))
    assert values(raw) == {"rec_loss": [0.05, 0.15, 0.25]}
    assert next(n for n in raw.notes if n.kind == "unparsed_value").count == 3


def test_a_bar_without_metrics_may_name_the_epoch_of_the_lines_behind_it(log) -> None:
    text = (
        "Training of epoch {}/9: 100%|██████████| 782/782 [10:49<00:00, 1.21it/s]\nTrain loss: 0.{}\nEval loss: 0.9\n"
    )
    raw = log("".join(text.format(e, e) for e in (1, 2, 3)))
    assert raw.steps.tolist() == [1, 2, 3] and raw.step_unit == "epoch"
    assert values(raw)["Train loss"] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "line",
    [
        "[Loss] 0.{i} | [step]  {i}00 | [exp] ./exp/0826/77303ch | [time] 1.2m (~2h) |[best] 0 0.000x1e-2",
        "2023-08-26 21:43:22.176 | INFO     | trainers.base:train_epochs:313 - [R0] | iter[9/10] | [Loss] 0.{i} | [step] {i}00",
        "step {i}00 [Loss] 0.{i}",
        "[step]: {i}00 [Loss]: 0.{i}",
        "step {i}00/1000 [Loss]=0.{i}",
        "iteration #{i}00 Loss 0.{i}",
        "step_{i}00 Loss 0.{i}",
        "[iter{i}00]: Loss 0.{i}",
        "Train {i}00/1000 Loss 0.{i}",
        "Loss at step {i}00: 0.{i}",
        "Loss after iteration {i}00 is 0.{i}",
        "10%|#         | {i}00/1000 [00:01<00:10, 1.0it/s, [Loss] 0.{i}]",
    ],
)
def test_bracketed_names_and_places_written_otherwise(line: str, log) -> None:
    raw = log("".join(line.replace("{i}", str(i)) + "\n" for i in (1, 2, 3)))
    assert raw.steps.tolist() == [100, 200, 300] and raw.epochs is None
    assert values(raw) == {"Loss": [0.1, 0.2, 0.3]}


def test_a_word_with_a_number_in_it_twice_is_a_part_of_names(log) -> None:
    assert list(values(log("step1 loss 0.1 step2 loss 0.2\n" * 2))) == ["step1 loss", "step2 loss"]


def test_a_remark_behind_a_name_is_no_count(log) -> None:
    raw = log("Training loss (for one batch) at step 100: 0.5\nTraining loss (for one batch) at step 200: 0.4\n")
    assert raw.steps.tolist() == [100, 200] and values(raw) == {"Training loss (for one batch)": [0.5, 0.4]}


def test_summaries_of_an_epoch_are_of_the_part_that_they_name(log) -> None:
    raw = log(
        "".join(
            f"Train Summary | Epoch {e} | mel=1.{e} | duration=3.1\nValid Summary | Epoch {e} | mel=2.{e}\n"
            + (f"Evaluate Summary | Epoch {e} | visqol=2.{e} | sisnr=9.{e}\n" if e % 2 == 0 else "")
            for e in (1, 2, 3, 4)
        )
    )
    got = values(raw)
    assert raw.steps.tolist() == [1, 2, 3, 4] and raw.step_unit == "epoch"
    assert got["epoch/mel"] == [1.1, 1.2, 1.3, 1.4] and got["val/mel"] == [2.1, 2.2, 2.3, 2.4]
    assert got["val/visqol"] == [2.2, 2.4] and got["val/sisnr"] == [9.2, 9.4]


def test_a_name_set_off_by_a_mark_before_another_name(log) -> None:
    raw = log("| vae_rec  0.44  vae_kld  41000\n| vae_rec  0.43  vae_kld  41001\n")
    assert values(raw) == {"vae_rec": [0.44, 0.43], "vae_kld": [41000.0, 41001.0]}
    assert values(log("Epoch: [1][10/50]\tTime 0.5 (0.6)\tLoss 0.8 (0.9)\n" * 2))["Time"][0] == 0.5


@pytest.mark.parametrize(
    "before", ["", "2024-09-01 09:00:00 | INFO | ", "2024-09-01 09:00:00,123 - trainer - INFO - ", "[INFO] "]
)
def test_a_resume_is_an_event_whatever_the_logger_writes_before_it(log, before: str) -> None:
    rows = [f"{before}step {s} loss 0.{s}\n" for s in range(10, 40)]
    raw = log("".join([*rows[:20], f"{before}Resuming from checkpoint /ckpt/last.pt (step 29)\n", *rows[20:]]))
    assert [(e.kind, e.step, e.line) for e in raw.events] == [("resume", 29, 21)]


def test_a_checkpoint_loaded_with_its_place_is_a_resume_and_one_of_weights_alone_is_none(log) -> None:
    rows = [f"step {s} loss 0.{s}\n" for s in range(10, 40)]
    for line, kinds in (
        ("=> loaded checkpoint 'ckpt/last (iter 29)'\n", ["resume"]),
        ("loaded checkpoint vgg_lpips.pth\n", []),
    ):
        raw = log("".join([*rows[:20], line, *rows[20:]]))
        assert [e.kind for e in raw.events] == kinds and all(e.step == 29 for e in raw.events)


@pytest.mark.parametrize(
    ("changed", "goes_on", "kinds"),
    [("", True, ["resume"]), ("2", True, []), ("", False, [])],
    ids=["same", "other", "first step"],
)
def test_settings_printed_again_where_the_count_goes_on_are_a_resume(
    log, changed: str, goes_on: bool, kinds: list[str]
) -> None:
    """A trainer that announces no resume prints its settings at each start; other numbers in a dict are no settings of it."""
    settings = "Namespace(" + ", ".join(f"{name}={{0}}{i}" for i, name in enumerate("abcdefgh")) + ")\n"
    rows = [f"step {s} loss 0.{s}\n" for s in range(10, 40)]
    again = rows[20:] if goes_on else rows
    raw = log("".join([settings.format(""), *rows[:20], settings.format(changed), *again]))
    assert [e.kind for e in raw.events] == kinds


def test_a_second_trainer_in_the_same_file_is_a_second_run(log) -> None:
    first = "".join(f"step {i} loss 0.{9 - i} kl 1.{i}\n" for i in range(1, 6))
    second = "".join(f"[Epoch 0/5] [Batch {i}/100] [D loss: 0.{i}] [G loss: 1.{i}]\n" for i in range(1, 6))
    runs = build_runs(log(first + second))
    assert [sorted(c.original for c in run.columns.values()) for run in runs] == [["kl", "loss"], ["D loss", "G loss"]]
    validated = "".join(f"step {i} val_psnr 2{i}.5\n" for i in range(1, 6))
    assert len(build_runs(log(first + validated))) == 1, (
        "checkpoints that were evaluated afterwards are of the same run"
    )


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "row",
    [
        "step {i} loss 0.{e}{i}\n",
        "[{i}/3] loss 0.{e}{i}\n",
        "Train: 50%|#| {i}/3 [00:00<00:01, 3.0it/s, loss=0.{e}{i}]\r",
    ],
)
def test_a_line_that_ends_the_epoch_which_it_names(first: int, row: str, log) -> None:
    epochs = (first, first + 1)
    text = "".join(
        "".join(row.format(e=e, i=i) for i in (1, 2, 3)) + f"\nEpoch {e} done: val_loss 0.{e}\n" for e in epochs
    )
    raw = log(text)
    assert raw.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert raw.epochs is not None and raw.epochs.tolist() == [first] * 3 + [first + 1] * 3
    assert values(raw)["val_loss"] == [first / 10, (first + 1) / 10] and len(build_runs(raw)) == 1
    begun = log(text + row.format(e=first + 2, i=1) + "\n")
    assert begun.epochs is not None and begun.epochs.tolist()[-1] == first + 2 and begun.steps[-1] == 7


def test_two_counts_side_by_side_are_epoch_and_step(log) -> None:
    for place in ("[{e}/2][{i}/3]", "{e}/2, {i}/3:", "[{e}/2, {i}/3]", "[{e}, {i}]", "[{e},     {i}]:"):
        raw = log("".join(place.format(e=e, i=i) + f" loss: 0.{e}{i}\n" for e in (1, 2) for i in (1, 2, 3)))
        assert raw.steps.tolist() == [1, 2, 3, 4, 5, 6], place
        assert raw.epochs is not None and raw.epochs.tolist() == [1, 1, 1, 2, 2, 2]


def test_what_is_no_plain_number_is_counted_as_left_out(log) -> None:
    raw = log("step 1 kl: 0.5 rec_loss: ~0.1 adv: <0.01 psnr: 1'234.5\n" * 2)
    assert values(raw) == {"kl": [0.5, 0.5]}
    assert {note.kind for note in raw.notes} >= {"unnamed_values", "unparsed_value"}


def test_processes_and_runs_that_write_into_one_log_are_told(log) -> None:
    raw = log("".join(f"[1,{rank}]<stdout>: step {i} loss 0.{rank}{i}\n" for i in (1, 2, 3) for rank in (0, 1)))
    assert values(raw) == {"loss": [0.01, 0.02, 0.03]} and any(note.kind == "other_rank" for note in raw.notes)
    assert list(values(log("(worker pid=1000) step 1 loss 0.5\n" * 2))) == ["loss"]
    (run,) = build_runs(log("".join(f"step {i} loss 0.{i}\nstep {i + 40} loss 0.{i}5\n" for i in range(1, 7))))
    assert any("their rows are mixed" in note.text for note in run.notes)


@pytest.mark.parametrize(
    "value", ["tensor(nan)", "tensor(nan, device='cuda:0')", "np.float32(nan)", "nan(ind)", "(nan)", "nan"]
)
def test_a_loss_that_becomes_nan_behind_a_blank_is_read(log, value: str) -> None:
    raw = log("".join(f"step {i} rec_loss {0.4 if i < 3 else value} kl_loss 12.5\n" for i in range(1, 6)))
    rec = next(c for c in raw.columns if c.original == "rec_loss")
    assert rec.logged.all() and np.isnan(rec.values[2:]).all() and rec.values[0] == 0.4


def test_lines_with_commas_that_end_in_a_unit_are_no_table(tmp_path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(f"step {i}, rec_loss: 1.0{i}, kl_loss: 1200.5 | 3.2 it/s\n" for i in range(10, 40)))
    run = vaelab.read(path)
    assert len(run) == 30 and {"rec_loss", "kl_loss"} <= set(run) and run.steps[0] == 10


@pytest.mark.parametrize(("first", "second"), [("1.05e4", "1.06e4"), ("10.5k", "10.6k")])
def test_a_step_with_an_exponent_or_a_suffix(log, first: str, second: str) -> None:
    assert log(f"step {first} loss 0.5\nstep={second}, loss 0.4\n").steps.tolist() == [10500, 10600]


def test_steps_with_fractions_count_nothing_and_that_is_said(log) -> None:
    raw = log("".join(f"step {i + 0.5} loss 0.{50 + i}\n" for i in range(20)))
    assert (raw.steps.tolist(), raw.step_unit) == (list(range(20)), "record")
    assert "has fractions" in next(n.text for n in raw.notes if n.kind == "no_step_column")
    raw = log("".join(f"step {1 + i / 100:.2f}e{1 if i == 7 else 4} loss 0.{50 + i}\n" for i in range(20)))
    assert next(n for n in raw.notes if n.kind == "unparsed_value").count == 1
    assert raw.steps.tolist() == [round(1e4 + 100 * (i - (i == 7))) for i in range(20)]


@pytest.mark.parametrize(
    "bar", ["{n}%|#  | {n}0.0k/1.00M [00:10<1:00, 1.2kit/s, loss={v}]", "{n}0.0kit [00:10, 1.2kit/s, loss={v}]"]
)
def test_a_bar_with_scaled_units(log, bar: str) -> None:
    raw = log("\n".join(bar.format(n=n, v=1 / n) for n in range(1, 20)) + "\n")
    assert (raw.steps.tolist(), raw.step_unit) == ([n * 10_000 for n in range(1, 20)], "step")


def test_a_bar_over_epochs_that_shows_every_batch_counts_no_steps(log) -> None:
    raw = log("".join(f"  0%|  | {i // 10}/1000 [00:10<?, ?it/s, rec_loss=0.{100 + i}]\n" for i in range(40)))
    assert (len(raw.steps), raw.step_unit) == (40, "record")
    assert raw.epochs is not None and raw.epochs.tolist() == [i // 10 for i in range(40)]
    assert "bar's counter" in next(n.text for n in raw.notes if n.kind == "no_step_column")


@pytest.mark.parametrize("token", ["1.2.3", "1200.5m", "0x1f", "--0.5", "3.2e-", "1.1x10-3", "1.1 10^-3"])
@pytest.mark.parametrize("sign", [" ", "=", ": "])
def test_a_value_that_cannot_be_read_is_counted_behind_any_sign(log, token: str, sign: str) -> None:
    raw = log("".join(f"step {i} rec_loss 0.{50 + i} kl_loss{sign}{token} g_loss 0.3\n" for i in range(20)))
    assert set(values(raw)) == {"rec_loss", "g_loss"}
    (note,) = [n for n in raw.notes if n.kind == "unparsed_value"]
    assert note.count == 20 and "kl_loss" in note.text


@pytest.mark.parametrize("sign", [" ", "=", ": "])
@pytest.mark.parametrize("token", ["1.1x10^-3", "1.1×10^-3", "1.1 x 10^-3", "1.1·10⁻³"])
def test_a_power_of_ten_that_is_written_out(log, token: str, sign: str) -> None:
    raw = log("".join(f"step {i} rec_loss 0.{50 + i} kl_loss{sign}{token} g_loss 0.3\n" for i in range(20)))
    assert values(raw)["kl_loss"] == [1.1e-3] * 20
    assert [c.decimals for c in raw.columns if c.original == "kl_loss"] == [4]


def test_a_name_with_an_operator_stays_whole(log) -> None:
    raw = log(
        "".join(
            f"step {i}: loss=0.5 1e-6*kl_loss=0.{10 + i} w*rec_loss=0.3, a + kl: 2.5, 1-ssim=0.1\n" for i in range(20)
        )
    )
    assert set(values(raw)) == {"loss", "1e-6*kl_loss", "w*rec_loss", "a + kl", "1-ssim"}


def test_an_exception_at_the_end_is_no_metric_and_a_nan_in_it_stopped_the_run(tmp_path: Path) -> None:
    rows = "".join(f"epoch {i} train loss: {1 / i:.4f} eval loss: {1.1 / i:.4f}\n" for i in range(1, 20))
    for error, kind in (
        ("ArithmeticError: NaN detected in train loss", "non_finite_stop"),
        ("ValueError: bad", "crash"),
    ):
        path = tmp_path / f"{kind}.log"
        path.write_text(
            f'{rows}Traceback (most recent call last):\n  File "t.py", line 627, in train\n    raise X\n{error}\n'
        )
        (run,) = vaelab.read_all(path)
        assert len(run) == 19 and len(run.columns) == 2
        assert [event.kind for event in run.events] == [kind]
        path.write_text(f"{rows}{error}\n")
        assert [event.kind for event in vaelab.read(path).events] == [kind]


def test_a_log_that_ends_in_an_error_before_its_first_row_says_so(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        'Building the model\nTraceback (most recent call last):\n  File "t.py", line 6\nArithmeticError: NaN detected in train loss\n'
    )
    run = vaelab.read(path)
    assert len(run) == 0 and [(e.kind, e.line) for e in run.events] == [("non_finite_stop", 4)]
    diagnosis = vaelab.diagnose(run)
    assert diagnosis.status == "stop" and [f.code for f in diagnosis.findings] == ["NUM502"]
    assert diagnosis.headline.startswith("The run broke before its first row, with the error in line 4: Arith")
    path.write_text('Building the model\nTraceback (most recent call last):\n  File "t.py", line 6\nKeyError: "lr"\n')
    assert [f.code for f in vaelab.diagnose(vaelab.read(path)).findings] == ["NUM505"]
