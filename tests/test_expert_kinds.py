"""The same of kinds that runs of other trainers and a breaker showed: NaN, totals, the GAN start, held-out data, what to do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from expert_logs import NAMES, ROW, ROWS, Log, codes, every_trainer, falls, noise, said
from synthetic_runs import decay, draft, healthy, lognormal
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.readers import read


@pytest.fixture
def log(tmp_path: Path, trainer: str) -> Log:
    return Log(tmp_path, trainer)


# --- losses that are no numbers any more --------------------------------------------------------------------------------------


def until(row: int, values: np.ndarray) -> list[str]:
    return [f"{v:.6g}" if i < row else "nan" for i, v in enumerate(values)]


def with_nan(folder: Path, row: int, columns: dict[str, np.ndarray], first_step: int = 0) -> Diagnosis:
    """``columns`` (the log's own name -> values), NaN from ``row`` on."""
    cells = {name: until(row, values) for name, values in columns.items()}
    lines = [",".join(["step", *cells])]
    lines += [",".join([str(first_step + 10 * i), *(c[i] for c in cells.values())]) for i in range(ROWS)]
    path = folder / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return diagnose(read(path))


@every_trainer
def test_nan_after_calm_rows_is_a_sample_and_no_half_precision(trainer: str, tmp_path: Path) -> None:
    names = NAMES[trainer]
    diagnosis = with_nan(
        tmp_path, 120, {names["rec"]: falls(), names["kl"]: falls(30, 60), names["per"]: falls(0.6, 0.1)}
    )
    assert diagnosis.status == "stop" and diagnosis.causes[0].id == "A2"
    assert not {"F1", "F2", "F5"} & {c.id for c in diagnosis.causes}


@every_trainer
@pytest.mark.parametrize("row", [1, 4])
def test_nan_in_the_first_rows_is_the_rate(trainer: str, tmp_path: Path, row: int) -> None:
    names = NAMES[trainer]
    diagnosis = with_nan(tmp_path, row, {names["rec"]: falls(), names["kl"]: falls(30, 60)})
    assert diagnosis.status == "stop" and diagnosis.causes[0].id == "E1"
    assert not {"F1", "F2", "F5"} & {c.id for c in diagnosis.causes}


@every_trainer
def test_nan_after_a_rise_is_the_rate(trainer: str, tmp_path: Path) -> None:
    names = NAMES[trainer]
    grows = np.where(ROW < 110, 1.0, 1.6 ** (ROW - 110.0))
    diagnosis = with_nan(tmp_path, 118, {names["rec"]: falls(), names["disc"]: noise(seed=3) * grows})
    assert diagnosis.status == "stop" and diagnosis.causes[0].id == "E1"


@every_trainer
def test_nan_with_a_loss_scale_may_be_half_precision(trainer: str, tmp_path: Path) -> None:
    names = NAMES[trainer]
    diagnosis = with_nan(tmp_path, 120, {names["rec"]: falls(), "loss_scale": 65536 * np.ones(ROWS)})
    assert diagnosis.status == "stop" and "F1" in [c.id for c in diagnosis.causes[:2]]


# --- a total and a held-out total --------------------------------------------------------------------------------------------

TOTALS = pytest.mark.parametrize(("train", "held_out"), [("Train loss", "Eval loss"), ("train_loss", "val_loss"), ("loss", "val_loss")])  # fmt: skip


def totals(folder: Path, train: str, held_out: str, a: np.ndarray, b: np.ndarray) -> Diagnosis:
    lines = [
        f"epoch,{train},{held_out}",
        *(f"{i + 1},{x:.6g},{y:.6g}" for i, (x, y) in enumerate(zip(a, b, strict=True))),
    ]
    path = folder / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return diagnose(read(path))


@TOTALS
@pytest.mark.parametrize(("end", "status"), [(5, "healthy"), (11, "cannot-tell")])
def test_a_total_and_its_held_out_total_are_healthy_where_both_have_halved(
    tmp_path: Path, train: str, held_out: str, end: float, status: str
) -> None:
    a = decay(60, 15, end, 6) * noise(0.01)[:60]
    diagnosis = totals(tmp_path, train, held_out, a, 1.15 * decay(60, 15, end, 6) * noise(0.01, 1)[:60])
    assert diagnosis.status == status and (status == "healthy" or "held-out total fall together" in diagnosis.headline)


@TOTALS
@pytest.mark.parametrize("end", [13.0, 19.0])
def test_a_total_that_leaves_its_held_out_total_is_overfit(
    tmp_path: Path, train: str, held_out: str, end: float
) -> None:
    a = decay(60, 15, 1, 6) * noise(0.01)[:60]
    diagnosis = totals(tmp_path, train, held_out, a, decay(60, 15, end, 6) * noise(0.01, 1)[:60])
    assert diagnosis.status == "act" and diagnosis.causes[0].id == "A7"


@TOTALS
def test_totals_that_never_move_are_acted_on_as_a_rate_of_nothing(tmp_path: Path, train: str, held_out: str) -> None:
    diagnosis = totals(tmp_path, train, held_out, 15.2 * noise(0.002)[:60], 16 * noise(0.002, 1)[:60])
    assert diagnosis.status == "act" and diagnosis.causes[0].id == "E2"


@TOTALS
def test_a_held_out_total_that_jumps_in_one_epoch_is_not_overfit(tmp_path: Path, train: str, held_out: str) -> None:
    change = np.arange(60) >= 35
    a = decay(60, 15, 5, 6) * noise(0.01)[:60] * np.where(change, 0.02, 1)
    diagnosis = totals(
        tmp_path, train, held_out, a, decay(60, 15, 6, 6) * noise(0.01, 1)[:60] * np.where(change, 15, 1)
    )
    assert diagnosis.status == "act" and diagnosis.causes[0].id in ("A4", "A5")
    assert "A7" not in [c.id for c in diagnosis.causes[:2]]


# --- the range of the inputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [17_500.0, 15_000.0])
def test_a_mean_of_the_trainers_own_code_that_stands_at_thousands_is_the_range(tmp_path: Path, end: float) -> None:
    rec = decay(ROWS, 19_000, end, 6) * noise()
    columns = {"loss": rec + 0.1, "Reconstruction_Loss": rec, "KLD": -30 * noise(seed=1)}
    lines = [
        ",".join(["step", *columns]),
        *(",".join([str(i), *(f"{v[i]:.6g}" for v in columns.values())]) for i in range(ROWS)),
    ]
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join(lines) + "\n")
    diagnosis = diagnose(read(path))
    assert diagnosis.status in ("act", "stop") and diagnosis.causes[0].id == "A1"


@every_trainer
def test_a_sum_over_pixels_is_not_the_range(log: Log) -> None:
    assert "REC107" not in codes(log.judged(rec=falls(500, 100), kl=falls(5, 25)))


# --- a jump soon after the GAN start ------------------------------------------------------------------------------------------


def settles() -> np.ndarray:
    return (0.1 + 0.9 * np.exp(-ROW / 8)) * noise(0.03)


@every_trainer
@pytest.mark.parametrize("later", [1, 5, 9])
def test_a_jump_soon_after_a_gan_start_is_the_discriminators(log: Log, later: int) -> None:
    on = ROW >= 60
    disc = np.where(on, 0.02 + 0.98 * np.exp(-(ROW - 60.0).clip(0) / 3), math.nan)
    real, fake = (np.where(on, sign * 4 * (1 - disc), math.nan) for sign in (1, -1))
    rec = settles() * np.where(60 + later <= ROW, 2.6, 1)
    diagnosis = log.judged(rec=rec, disc=disc, real=real, fake=fake, lr=np.full(ROWS, 1e-4))
    assert not {"DAT701", "MET1002"} & set(codes(diagnosis))
    assert diagnosis.status == "act" and diagnosis.causes[0].id in ("D4", "D6", "D5")


@every_trainer
def test_a_jump_long_after_a_gan_start_is_the_datas(log: Log) -> None:
    on = ROW >= 60
    disc = np.where(on, 0.9 * noise(seed=2), math.nan)
    rec = settles() * np.where(ROW >= 130, 2.6, 1)
    diagnosis = log.judged(rec=rec, disc=disc, lr=np.full(ROWS, 1e-4))
    assert "DAT701" in codes(diagnosis) and diagnosis.causes[0].id in ("A2", "A4", "A5")


# --- samples with nothing in them ----------------------------------------------------------------------------------------------


@every_trainer
def test_pictures_that_hold_nothing_are_black_before_they_are_few(log: Log) -> None:
    black = ROW >= 100
    rec, per = (falls(start, end) * np.where(black, 0.02, 1) for start, end in ((1, 0.1), (0.7, 0.15)))
    diagnosis = log.judged(rec=rec, per=per)
    assert diagnosis.status == "act" and "DAT708" in codes(diagnosis) and diagnosis.causes[0].id == "A4"


# --- terms that are next to nothing --------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("scale", [0.05, 0.5])
def test_a_small_noisy_perceptual_loss_counts_for_nothing_beside_a_reconstruction_that_improves(
    log: Log, scale: float
) -> None:
    diagnosis = log.judged(rec=falls(0.3, 0.05), per=6e-5 * noise(scale, 1))
    assert "MET1003" not in codes(diagnosis) and diagnosis.status == "healthy"


@every_trainer
def test_a_perceptual_loss_that_stays_where_an_untrained_network_begins_is_said(log: Log) -> None:
    assert "MET1003" in codes(log.judged(rec=falls(0.3, 0.05), per=0.6 * noise(0.02, 1)))


@pytest.mark.parametrize(
    "line",
    [
        "Using bfloat16 Automatic Mixed Precision (AMP)",
        "Using 16bit native Automatic Mixed Precision (AMP)",
        "Mixed precision type: fp16",
    ],
)
def test_half_precision_that_a_line_of_the_log_names_may_be_the_cause_of_nan(tmp_path: Path, line: str) -> None:
    rows = [
        f"step: {10 * i} rec_loss: {v} kl_loss: {k}"
        for i, (v, k) in enumerate(zip(until(120, falls()), until(120, falls(30, 60)), strict=True))
    ]
    path = tmp_path / "train.log"
    path.write_text("\n".join([line, *rows]) + "\n")
    assert "F1" in [c.id for c in diagnose(read(path)).causes[:2]]
    path.write_text("\n".join([line.replace("16", "32"), *rows]) + "\n")
    assert "F1" not in [c.id for c in diagnose(read(path)).causes]


def test_codes_of_losses_that_are_no_numbers_are_not_a_collapse(tmp_path: Path) -> None:
    used = np.where(ROW < 120, 800 * noise(), 1.0)
    lines = [
        "step,rec_loss,perplexity",
        *(f"{10 * i},{r},{u:.5g}" for i, (r, u) in enumerate(zip(until(120, falls()), used, strict=True))),
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    diagnosis = diagnose(read(path))
    assert diagnosis.status == "stop" and "KL213" not in codes(diagnosis) and diagnosis.causes[0].id == "A2"


# --- jumps, restarts, scatter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", list(NAMES))
@pytest.mark.parametrize("rate", [True, False])
def test_a_jump_in_a_short_log_of_one_column_may_be_data_or_the_rate(trainer: str, rate: bool, tmp_path: Path) -> None:
    names, path = NAMES[trainer], tmp_path / "log.csv"
    rec = ((0.1 + 0.9 * np.exp(-ROW / 8)) * noise(seed=21))[:40] * np.where(ROW[:40] < 28, 1, 3)
    rows = (f"{10 * i},{v:.5g}{',0.0002' if rate else ''}" for i, v in enumerate(rec))
    path.write_text("\n".join([f"step,{names['rec']}{',lr' if rate else ''}", *rows]))
    diagnosis = diagnose(read(path))
    causes = [c.id for c in diagnosis.causes]
    assert "E1" in causes and {"A2", "A5"} & set(causes) and "DAT701" not in codes(diagnosis)
    assert "this log cannot tell which. Score the checkpoint from before" in said(diagnosis)


@every_trainer
def test_training_that_begins_again_is_no_change_of_data(log: Log) -> None:
    age = np.where(ROW < 120, ROW, ROW - 120)
    rec = (0.05 + 0.95 * np.exp(-age / 12)) * noise(seed=22)
    diagnosis = log.judged(rec=rec, kl=(30 + 30 * (1 - np.exp(-age / 12))) * noise(seed=2), lr=np.full(ROWS, 1.37e-4))
    assert (
        diagnosis.status == "watch" and diagnosis.causes[0].id == "H9" and "training began anew" in diagnosis.headline
    )
    assert not {"DAT701", "MET1002", "REC116"} & set(codes(diagnosis))


@every_trainer
@pytest.mark.parametrize("at_once", [True, False])
def test_growing_scatter_is_no_change_of_data_and_no_drift(log: Log, at_once: bool) -> None:
    spread = np.where(ROW < 100, 0.02, 0.5 if at_once else 0.02 + 0.0048 * (ROW - 100))
    for seed in (50, 51):
        rec = decay(ROWS, 1, 0.05, 20) * np.exp(np.random.default_rng(seed).normal(0, 1, ROWS) * spread)
        diagnosis = log.judged(rec=rec, lr=np.full(ROWS, 1.37e-4))
        assert diagnosis.status == "watch" and "MET1011" in codes(diagnosis)
        assert not {"DAT701", "MET1002", "MET1001"} & set(codes(diagnosis))


@every_trainer
def test_of_a_reconstruction_below_zero_it_is_said_why_it_is_not_judged(log: Log) -> None:
    for rec in (-falls(), 0.5 - 1.5 * (1 - np.exp(-ROW / 30)) + 0.02 * np.random.default_rng(0).normal(size=ROWS)):
        diagnosis = log.judged(rec=rec)
        assert (
            diagnosis.status == "cannot-tell"
            and "goes below 0" in diagnosis.headline
            and "--map" not in diagnosis.headline
        )


# --- held-out data --------------------------------------------------------------------------------------------------------------


@every_trainer
def test_a_model_that_gives_nan_on_held_out_data_is_acted_on_and_not_stopped(log: Log) -> None:
    held_out = falls(1.1, 0.055, seed=4)
    diagnosis = log.judged(rec=falls(), val=np.where(ROW < 150, held_out, np.nan), lr=np.full(ROWS, 1e-4))
    empty = diagnosis.status  # a cell that is empty is not logged
    nan = [f"{v:.6g}" if v == v else "nan" for v in np.where(ROW < 150, held_out, np.nan)]
    lines = [f"step,{log.names['rec']},{log.names['val']}"]
    lines += [f"{10 * i},{r:.6g},{v}" for i, (r, v) in enumerate(zip(falls(), nan, strict=True))]
    log.path.write_text("\n".join(lines) + "\n")
    diagnosis = diagnose(read(log.path))
    assert empty == "healthy" and diagnosis.status == "act" and log.names["val"] in diagnosis.headline
    shown = next(m for m in diagnosis.metrics if m.original == log.names["val"])
    assert shown.status == "bad" and "NaN or inf in its last 50 values" in shown.text


@every_trainer
def test_data_that_become_easy_at_once_are_told_though_the_loss_falls_on(log: Log) -> None:
    black = np.where(ROW > 120, 0.03 * np.exp(-np.minimum(ROW - 120, 40) / 12), 1.0)
    diagnosis = log.judged(rec=falls() * black, lr=np.full(ROWS, 1e-4))
    assert diagnosis.status == "act" and {c.id for c in diagnosis.causes[:2]} & {"A4", "A5"}


@every_trainer
@pytest.mark.parametrize("held_out", [False, True])
def test_data_that_become_easy_within_some_rows_are_told(log: Log, held_out: bool) -> None:
    since = (ROW - 120.0).clip(0)
    rec = (
        (0.03 + 0.06 * np.exp(-ROW / 30))
        * noise()
        * np.where(ROW < 120, 1, np.maximum(0.4 * np.exp(-since / 12), 0.003))
    )
    kl = np.where(ROW < 120, 40, 480 * np.exp(-since / 8) + 1.7) * noise(seed=1)
    more = {"val": np.where(ROW < 120, 0.035, 0.3) * noise(seed=2)} if held_out else {}
    diagnosis = log.judged(rec=rec, kl=kl, lr=np.full(ROWS, 1.37e-4), **more)
    assert diagnosis.status == "act" and diagnosis.causes[0].id in ("A4", "A5")


@every_trainer
def test_learning_that_begins_late_is_no_easier_data(log: Log) -> None:
    rec = np.where(ROW < 100, 0.3, 0.05 + 0.25 * np.exp(-(ROW - 100.0).clip(0) / 12)) * noise(0.03)
    assert "DAT706" not in codes(
        log.judged(rec=rec, kl=np.where(ROW < 100, 0.5, 30) * noise(seed=1), lr=np.full(ROWS, 1.37e-4))
    )


@every_trainer
def test_held_out_data_that_stand_worse_than_at_their_first_rows_are_watched(log: Log) -> None:
    val = np.where(ROW < 20, 0.5 - 0.003 * ROW, 0.44 + 0.1 * np.minimum(1, (ROW - 20) / 120)) * noise(0.01, 5)
    assert log.judged(rec=falls(0.5, 0.42), val=val).status == "watch"
    assert log.judged(rec=falls(0.6, 0.3), val=falls(0.62, 0.32, seed=5)).status == "healthy"


# --- judged for the wrong reason ------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("place", ["{:.2e}", "{:.3E}"])
def test_a_zero_with_an_exponent_is_zero_in_text_lines(trainer: str, tmp_path: Path, place: str) -> None:
    names, path = NAMES[trainer], tmp_path / "train.log"
    rec = (0.05 + 0.95 * np.exp(-np.minimum(ROW, 60) / 30)) * noise(0.03)
    for last in (60, 0):  # the rows in which the rate is not 0
        rates = np.where(last > ROW, 1e-4, 0.0)
        path.write_text(
            "\n".join(
                f"step: {10 * i} {names['rec']}: {v:.4f} lr: {place.format(r)}"
                for i, (v, r) in enumerate(zip(rec, rates, strict=True))
            )
        )
        diagnosis = diagnose(read(path))
        assert diagnosis.status == "stop" and "learning rate is 0" in diagnosis.headline


@every_trainer
@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_a_steady_divergence_of_a_short_log_is_the_rate_and_no_change_of_data(
    trainer: str, unit: str, tmp_path: Path
) -> None:
    names, path = NAMES[trainer], tmp_path / "log.csv"
    grows = 0.4 * np.exp(np.arange(20) / 5)
    for scatter in (0.0, 0.03):
        values = grows * lognormal(np.random.default_rng(0), scatter, 20)
        path.write_text("\n".join([f"{unit},{names['rec']},lr", *(f"{i},{v:.6g},0.001" for i, v in enumerate(values))]))
        diagnosis = diagnose(read(path))
        assert diagnosis.status == "act" and diagnosis.causes[0].id == "E1"
        assert not {"DAT701", "MET1002"} & set(codes(diagnosis))


@every_trainer
def test_a_fast_fall_that_is_under_way_is_no_easier_data(log: Log) -> None:
    rec = 1e-5 * np.exp(-ROW / 10) * noise(0.1) + 1e-8
    assert "DAT706" not in codes(log.judged(rec=rec, lr=np.full(ROWS, 1e-4)))


@every_trainer
def test_the_restarts_of_a_schedule_need_no_change(log: Log) -> None:
    rate = 1e-5 + 9e-5 * (0.5 + 0.5 * np.cos(np.pi * (ROW % 40) / 40))
    assert log.judged(rec=falls(), lr=rate).status == "healthy"
    # one rise is no schedule, nor is one to ever higher rates
    assert log.judged(rec=falls(), lr=np.where(ROW % 100 < 50, 1e-4, 1e-5) * (1 + ROW // 100)).status == "watch"
    hurt = 1 + 8 * np.where(ROW >= 120, 1.0, 0.0)
    assert "OPT404" in codes(log.judged(rec=falls() * hurt, lr=rate))


@pytest.mark.parametrize("names", [("nll_loss", "rec_loss"), ("train/nll_loss", "train/rec_loss")])
def test_a_negative_nll_has_a_learned_variance_and_no_changed_weight(names: tuple[str, str], tmp_path: Path) -> None:
    nll = -2.6 + 3 * np.exp(-ROW / 40) + np.random.default_rng(0).normal(0, 0.02, ROWS)
    lines = [
        ",".join(["step", *names]),
        *(f"{10 * i},{n:.6g},{r:.6g}" for i, (n, r) in enumerate(zip(nll, falls(), strict=True))),
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    diagnosis = diagnose(read(path))
    assert diagnosis.status == "healthy" and not {"SCH602", "ALG901"} & set(codes(diagnosis))


@every_trainer
@pytest.mark.parametrize("end", [1e-4, 2e-3])
def test_a_kl_of_next_to_nothing_is_a_collapse_while_the_reconstruction_creeps_on(log: Log, end: float) -> None:
    diagnosis = log.judged(
        rec=np.linspace(0.5, 0.42, ROWS) * noise(0.02), kl=(30 * np.exp(-ROW / 8) + end) * noise(0.02, 1)
    )
    assert diagnosis.status == "act" and diagnosis.causes[0].id == "C1" and "stands still" not in diagnosis.headline


@every_trainer
def test_a_codebook_of_less_than_two_codes_is_watched_from_the_start(trainer: str, tmp_path: Path) -> None:
    names, path = NAMES[trainer], tmp_path / "log.csv"
    for codes_used, status in ((1.5, "watch"), (600.0, "healthy")):
        rows = (
            f"{10 * i},{r:.6g},{u:.6g}"
            for i, (r, u) in enumerate(zip(falls(), codes_used * noise(0.02, 3), strict=True))
        )
        path.write_text("\n".join([f"step,{names['rec']},perplexity", *rows]))
        assert diagnose(read(path)).status == status


@pytest.mark.parametrize(("share", "said_as"), [(0.001, "0.1%"), (0.3, "30%"), (0.999, "99.9%")])
def test_the_share_of_faulty_runs_is_never_rounded_to_none_or_all(tmp_path: Path, share: float, said_as: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["step,rec_loss", *(f"{10 * i},{r:.6g}" for i, r in enumerate(falls()))]))
    assert f"if {said_as} of such runs have a fault" in diagnose(read(path), faulty_share=share).confidence_text


@every_trainer
@pytest.mark.parametrize("times", [3.0, 1000.0])
def test_a_loss_that_rose_and_became_nan_does_not_stand_anywhere(trainer: str, tmp_path: Path, times: float) -> None:
    names, path = NAMES[trainer], tmp_path / "train.log"
    rec = falls(1, 0.2)
    rec[120:160] *= np.geomspace(1, times, 40)
    rows = [f"step: {10 * i} {names['rec']}: {v}" for i, v in enumerate(until(160, rec))]
    path.write_text("\n".join(rows) + "\n")
    diagnosis = diagnose(read(path))
    drifted = next(f.message for f in diagnosis.findings if f.code == "MET1001")
    assert diagnosis.status == "stop" and "stands at" not in drifted and "before it became NaN" in drifted
    assert "e+0" not in drifted


# --- what to do -----------------------------------------------------------------------------------------------------------------


@every_trainer
def test_no_two_steps_set_one_option_to_different_values(log: Log) -> None:
    diagnosis = log.judged(rec=np.full(ROWS, 0.4), kl=np.full(ROWS, 30.0), lr=np.full(ROWS, 1e-4))
    assert diagnosis.status in ("act", "stop") and len(diagnosis.next) > 1
    keys = [key for step in diagnosis.next for key in step.changes]
    assert len(keys) == len(set(keys)) or len({(k, v) for s in diagnosis.next for k, v in s.changes.items()}) == len(
        set(keys)
    )
    assert any(step.text.startswith("If that does not help, instead:") for step in diagnosis.next)


def test_a_quantisers_loss_that_rises_while_codes_are_learned_is_none_of_its_faults() -> None:
    rise = 0.05 + 1.2 * np.exp(-(((ROW - 60) / 50.0) ** 2)) + 0.6 * (ROW > 20)
    columns = {
        "rec_loss": falls(),
        "quant_loss": rise * noise(seed=4),
        "perplexity": (2 + 10 * np.exp(-ROW / 6.0) + 3 * ROW / ROWS) * noise(seed=5),
    }
    found = codes(diagnose(draft(columns).run()))
    assert not {"KL213", "KL215"} & set(found)
    lost = {**columns, "perplexity": np.where(ROW < 100, 40.0, 6.0) * noise(seed=5)}
    assert "KL213" in codes(diagnose(draft(lost).run()))
    early = {**columns, "perplexity": (1.2 + 200 * np.exp(-ROW / 6.0)) * noise(0.01, seed=5)}
    assert codes(diagnose(draft(early).run()))["KL213"] == "critical"


def test_a_kl_weight_out_of_family_is_information_while_the_latent_carries_much() -> None:
    def verdict(kl: float) -> str:
        out = healthy("pyramid_flow", 0, gan_at=None)
        out.config |= {"kl_weight": 2e-6, "clip_shape": "17,256,256", "latent_shape": "16x3x32x32"}
        out.columns["kl_loss"] = kl * lognormal(np.random.default_rng(1), 0.05, len(out.steps))
        return codes(diagnose(out.keep("rec_loss", "kl_loss", "perceptual_loss").run()))["KL203"]

    assert verdict(20_000) == "info" and verdict(500) == "warn"


def test_a_total_that_steps_with_the_quantisers_loss_shows_no_change_of_a_weight() -> None:
    quantiser = np.where(ROW < 60, 4.0, 0.2) * noise(seed=4)
    columns = {"rec_loss": 0.5 * noise(seed=1), "quant_loss": quantiser}
    total = columns["rec_loss"] + quantiser
    assert "SCH602" not in codes(diagnose(draft({**columns, "total_loss": total}).run()))
    assert "SCH602" in codes(diagnose(draft({"rec_loss": columns["rec_loss"], "total_loss": total}).run()))
