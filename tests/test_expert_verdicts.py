"""What an expert would say of kinds of runs that vaelab once misjudged: each with the column names of several trainers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthetic_runs import Draft, decay, draft, healthy, hinge, lognormal
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.readers import read
from vaelab.report.layout import status_text
from vaelab.rules import ALL_RULES
from vaelab.run import Event

ROWS = 200
ROW = np.arange(ROWS)
NAMES: dict[str, dict[str, str]] = {
    "canonical": {
        "rec": "rec_loss", "per": "perceptual_loss", "kl": "kl_loss", "disc": "disc_loss", "real": "logits_real", "fake": "logits_fake",
        "lr": "lr", "total": "total_loss", "val": "val/rec_loss", "psnr": "psnr",
    },
    "lightning": {
        "rec": "train/recon_loss", "per": "train/lpips_loss", "kl": "train/kld", "disc": "train/d_loss", "real": "train/real_logits",
        "fake": "train/fake_logits", "lr": "learning_rate", "total": "train/loss", "val": "val/recon_loss", "psnr": "psnr",
    },
    "basicsr": {
        "rec": "l_g_pix", "per": "l_g_percep", "kl": "l_kl", "disc": "l_d_total", "real": "out_d_real", "fake": "out_d_fake",
        "lr": "lr", "total": "l_g_total", "val": "val_l_pix", "psnr": "psnr",
    },
    "plain": {
        "rec": "mse_loss", "per": "vgg_loss", "kl": "kl_divergence", "disc": "discriminator_loss", "real": "logits/real",
        "fake": "logits/fake", "lr": "lr", "total": "loss", "val": "test_mse", "psnr": "PSNR",
    },
}  # fmt: skip
every_trainer = pytest.mark.parametrize("trainer", list(NAMES))


def noise(scale: float = 0.05, seed: int = 0) -> np.ndarray:
    return lognormal(np.random.default_rng(seed), scale, ROWS)


def falls(start: float = 1.0, end: float = 0.05, pace: float = 6, seed: int = 0) -> np.ndarray:
    return decay(ROWS, start, end, pace) * noise(seed=seed)


class Log:
    """Columns written as a CSV file under the names of one trainer, and what is said of it."""

    def __init__(self, folder: Path, trainer: str) -> None:
        self.path, self.names = folder / "log.csv", NAMES[trainer]

    def judged(self, formats: dict[str, str] | None = None, **columns: Sequence[float]) -> Diagnosis:
        """NaN is an empty cell; a column without a format is written with six digits."""
        lines = [",".join(["step", *(self.names[c] for c in columns)])]
        for i in range(ROWS):
            cells = [
                ("" if math.isnan(v[i]) else (formats or {}).get(c, "{:.6g}").format(v[i])) for c, v in columns.items()
            ]
            lines.append(",".join([str(10 * i), *cells]))
        self.path.write_text("\n".join(lines) + "\n")
        return diagnose(read(self.path))


@pytest.fixture
def log(tmp_path: Path, trainer: str) -> Log:
    return Log(tmp_path, trainer)


def said(diagnosis: Diagnosis) -> str:
    return "\n".join(
        [diagnosis.headline, *(f.message for f in diagnosis.findings), *(s.text for s in diagnosis.statements),
         *(n.text for n in diagnosis.next), *(q.answer for q in diagnosis.questions), *diagnosis.positive, *diagnosis.expectations,
         *(f"{m.trend}; {m.text}" for m in diagnosis.metrics)]
    )  # fmt: skip


def codes(diagnosis: Diagnosis) -> dict[str, str]:
    return {f.code: f.severity for f in reversed(diagnosis.findings)}


# --- rounded columns --------------------------------------------------------------------------------------------------------


@every_trainer
def test_a_rate_printed_with_five_decimals_is_never_zero(log: Log) -> None:
    diagnosis = log.judged({"lr": "{:.5f}"}, rec=falls(), lr=np.where(ROW < 50, 6e-6, 4e-6))
    text = said(diagnosis)
    assert diagnosis.status == "healthy" and "cannot be read" in text
    assert "decayed" not in text and "rate is 0" not in text and "expect flat" not in text


@every_trainer
def test_a_rate_that_is_rounded_to_zero_late_is_below_half_a_unit(log: Log) -> None:
    diagnosis = log.judged({"lr": "{:.5f}"}, rec=falls(), lr=1e-3 * np.exp(-ROW / 10))
    text = said(diagnosis)
    assert diagnosis.status == "watch" and "0.0%" not in text and "rate is 0" not in text
    assert "below 0.5% of its peak" in text


@every_trainer
def test_a_rate_of_zero_in_full_precision_is_zero(log: Log) -> None:
    diagnosis = log.judged({"lr": "{}"}, rec=0.4 * noise(0.01), kl=3 * noise(0.01, 1), lr=np.zeros(ROWS))
    assert diagnosis.status == "stop" and "learning rate is 0 on all" in diagnosis.headline


# --- falls and trends -------------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("pace", [3, 8, 25])
def test_a_bent_fall_is_a_fall_and_equal_curves_get_equal_words(log: Log, pace: float) -> None:
    curve = (0.05 + 0.75 * np.exp(-ROW / pace)) * noise(0.01)
    diagnosis = log.judged(rec=curve, total=curve)
    rec, total = (next(m for m in diagnosis.metrics if m.original == log.names[c]) for c in ("rec", "total"))
    assert (rec.trend, rec.status, rec.text) == (total.trend, total.status, total.text)
    assert "no trend" not in said(diagnosis) and rec.status == "good"


# --- discriminators ---------------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("end", [0.02, 0.0])
def test_a_discriminator_that_wins_is_said_while_the_reconstruction_holds(log: Log, end: float) -> None:
    opens = 1 - np.exp(-ROW / 20)
    disc = np.zeros(ROWS) if end == 0 else end + (1 - end) * (1 - opens)
    real, fake = (6.3, -7.0) if end == 0 else (2.3, -2.0)
    diagnosis = log.judged({"disc": "{:.3f}"}, rec=falls(), disc=disc, real=real * (1 if end == 0 else opens) * noise(),
                           fake=fake * (1 if end == 0 else opens) * noise(seed=2))  # fmt: skip
    won = next(f for f in diagnosis.findings if f.code == "ADV305")
    assert diagnosis.status == "watch" and diagnosis.causes[0].id == "D4"
    assert "while the reconstruction holds, the GAN does nothing" in won.message and diagnosis.next[0].text
    assert "GAN is off" not in said(diagnosis)


@pytest.mark.parametrize("names", [("disc_accuracy",), ("d_acc_real", "d_acc_fake"), ("gan/disc_acc",)])
@pytest.mark.parametrize("right", [1.0, 100.0])
def test_a_discriminator_that_guesses_all_right_at_no_loss_has_won(
    names: tuple[str, ...], right: float, tmp_path: Path
) -> None:
    rec, path = falls(), tmp_path / "log.csv"
    rows = (f"{10 * i},{rec[i]:.5g},0.000{f',{right}' * len(names)}" for i in range(ROWS))
    path.write_text("\n".join([f"step,rec_loss,d_loss,{','.join(names)}", *rows]) + "\n")
    diagnosis = diagnose(read(path))
    assert "ADV305" in codes(diagnosis) and diagnosis.status == "watch"


@every_trainer
def test_a_discriminator_that_is_not_trained_yet_has_not_won(log: Log) -> None:
    diagnosis = log.judged(rec=falls(), disc=np.zeros(ROWS), real=0.1 * noise(), fake=0.09 * noise(seed=1))
    assert diagnosis.status == "healthy" and "GAN is off" in said(diagnosis)


@every_trainer
def test_a_discriminator_at_chance_with_a_good_reconstruction_is_watched(log: Log) -> None:
    rng = np.random.default_rng(1)
    diagnosis = log.judged(rec=falls(), disc=1 + 0.002 * rng.normal(size=ROWS), real=0.01 * rng.normal(size=ROWS),
                           fake=0.01 * rng.normal(size=ROWS))  # fmt: skip
    assert diagnosis.status == "watch" and "at chance" in diagnosis.headline


def test_an_adaptive_weight_that_rises_at_chance_is_watched_while_the_reconstruction_is_good() -> None:
    out = healthy("pyramid_flow", 0)
    on, rows = out.columns["disc_factor"] > 0, len(out.steps)
    rng = np.random.default_rng(2)
    real, fake = (np.where(on, rng.normal(0, 0.02, rows), np.nan) for _ in range(2))
    out.columns |= {"logits_real": real, "logits_fake": fake, "g_loss": -fake, "disc_loss": np.where(on, 1 + rng.normal(0, 2e-3, rows), np.nan),
                    "d_weight": np.where(on, 0.1 * np.exp(np.linspace(0, 5, rows)), np.nan)}  # fmt: skip
    out.columns["perceptual_loss"] = 0.05 * lognormal(rng, 0.03, rows)
    diagnosis = diagnose(out.keep(*(n for n in out.columns if n not in ("total_loss", "nll_loss"))).run())
    assert codes(diagnosis).get("ADV303") == "warn"


def test_the_bound_of_a_weighted_hinge_loss_uses_its_weight() -> None:
    rng = np.random.default_rng(3)
    real, fake = rng.normal(0.3, 0.05, ROWS), rng.normal(-0.3, 0.05, ROWS)
    disc = 0.5 * hinge(real, fake, 0.3, rng)
    columns = {"rec_loss": falls(), "disc_loss": disc, "logits_real": real, "logits_fake": fake, "g_loss": -fake}
    for trainer in ("llamagen", "unknown"):
        assert "ADV316" not in codes(diagnose(draft(columns, trainer=trainer).run()))


# --- values out of their family ---------------------------------------------------------------------------------------------


@every_trainer
def test_a_huge_rate_with_a_poor_outcome_is_stopped(log: Log) -> None:
    diagnosis = log.judged(
        rec=0.1 + 0.6 * np.exp(-ROW / 15) * noise(), kl=5e6 * (1 - 0.8 * np.exp(-ROW / 10)) * noise(0.2, 2),
        psnr=13.8 - 3 * np.exp(-ROW / 15) + 0.3 * np.random.default_rng(0).normal(size=ROWS), lr=np.full(ROWS, 0.1),
    )  # fmt: skip
    assert diagnosis.status == "stop" and "dB" in diagnosis.headline


@every_trainer
def test_a_high_rate_with_a_good_outcome_is_watched(log: Log) -> None:
    diagnosis = log.judged(rec=falls(1, 0.01), psnr=20 + 10 * (1 - np.exp(-ROW / 40)), lr=np.full(ROWS, 0.03))
    assert diagnosis.status == "watch"


@every_trainer
@pytest.mark.parametrize("level", [1e-6, 5e3, 5e7])
def test_the_level_of_a_loss_alone_is_never_acted_on(log: Log, level: float) -> None:
    diagnosis = log.judged(rec=level * falls(), kl=level * (2 - falls(seed=1)), per=level * falls(seed=2))
    assert diagnosis.status == "healthy"


# --- sudden changes ---------------------------------------------------------------------------------------------------------


@every_trainer
@pytest.mark.parametrize("column", ["rec", "per", "val"])
def test_a_threefold_jump_that_recovers_is_said(log: Log, column: str) -> None:
    columns = {"rec": falls(), "per": falls(0.5, 0.1, seed=3), "val": falls(1.1, 0.055, seed=4)}
    columns[column] = columns[column] * np.where((ROW > 120) & (ROW < 140), 3, 1)
    diagnosis = log.judged(**columns)
    assert diagnosis.status == "watch" and log.names[column] in said(diagnosis)
    assert any(f.first_step is not None and 1200 <= f.first_step <= 1230 for f in diagnosis.findings)


@every_trainer
@pytest.mark.parametrize("column", ["rec", "per", "total", "val"])
def test_an_explosion_of_any_column_with_a_direction_is_acted_on(log: Log, column: str) -> None:
    columns = {
        "rec": falls(),
        "per": falls(0.5, 0.1, seed=3),
        "total": falls(2, 0.3, seed=4),
        "val": falls(1, 0.06, seed=5),
    }
    columns[column] = columns[column] * np.where(ROW > 120, np.minimum(3.4e4, np.exp((ROW - 120) / 4)), 1)
    assert log.judged(**columns).status in ("act", "stop")


@every_trainer
def test_a_quality_that_drops_is_acted_on(log: Log) -> None:
    assert log.judged(rec=falls(), psnr=25 + ROW / 40 - 6 * (ROW > 130)).status == "act"


# --- nothing is trained; nothing holds for held-out data --------------------------------------------------------------------


@every_trainer
def test_a_frozen_network_is_found(log: Log) -> None:
    diagnosis = log.judged(rec=0.4 * noise(0.01), kl=3 * noise(0.01, 1), lr=np.full(ROWS, 2.5e-4))
    assert diagnosis.status in ("watch", "act", "stop") and {c.id for c in diagnosis.causes[:2]} & {"B8", "E2", "H1"}


@every_trainer
def test_training_that_falls_while_held_out_samples_rise_is_found(log: Log) -> None:
    held_out = np.where(ROW % 10 == 9, 0.2 * (np.exp(-ROW / 30) + np.exp(ROW / 150) / 3), np.nan)
    diagnosis = log.judged(rec=falls(), val=held_out)
    assert diagnosis.status in ("act", "stop") and diagnosis.causes[0].id == "A7"


# --- NaN --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("rec_loss", "kl_loss"), ("recon", "kld"), ("loss_l1", "KL")])
def test_a_nan_in_the_first_row_names_no_cause_that_needs_a_gan(names: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"step,{names[0]},{names[1]}", *(f"{i},nan,nan" for i in range(20))]) + "\n")
    diagnosis = diagnose(read(path))
    assert diagnosis.status == "stop" and not any(c.id.startswith("D") for c in diagnosis.causes)


# --- single metrics and their parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", ["nll_loss", "total_loss"])
def test_a_sum_is_not_good_where_its_part_is_bad(whole: str) -> None:
    rec = falls(0.3, 0.05) * np.where(ROW > 150, 4, 1)
    diagnosis = diagnose(draft({whole: falls(30, 0.5) + rec, "rec_loss": rec, "perceptual_loss": falls(1, 0.02)}).run())
    verdicts = {m.metric: m for m in diagnosis.metrics}
    assert verdicts["rec_loss"].status == "bad" and verdicts[whole].status not in ("good", "ok")


@pytest.mark.parametrize("beaten_by", ["constant", "blurred"])
def test_a_model_worse_than_a_simple_predictor_is_not_healthy(beaten_by: str) -> None:
    psnr = np.where(ROW % 20 == 19, 14 + 6 * (1 - np.exp(-ROW / 60)), np.nan)
    out = draft({"rec_loss": falls(), "val/psnr": psnr})
    assert diagnose(out.run()).status == "healthy"
    out.measured = {"baseline.constant.psnr": 12.0, "baseline.blurred.psnr": 18.0} | {
        f"baseline.{beaten_by}.psnr": 24.0
    }
    diagnosis = diagnose(out.run())
    assert diagnosis.status == "watch" and "24.0 dB" in diagnosis.headline


@every_trainer
def test_a_perceptual_loss_that_is_switched_off_is_no_alarm(log: Log) -> None:
    assert log.judged(rec=falls(), per=np.zeros(ROWS), total=falls()).status == "healthy"


def test_a_perceptual_loss_without_weight_may_rise() -> None:
    columns = {"rec_loss": falls(), "perceptual_loss": 0.1 * np.exp(ROW / 60)}
    assert diagnose(draft(columns).run()).status in ("watch", "act")
    grave = [f for f in diagnose(draft(columns, config={"perceptual_weight": 0}).run()).findings
             if f.severity != "info" and f.metrics[:1] == ("perceptual_loss",)]  # fmt: skip
    assert not grave


# --- what is said fits the columns ------------------------------------------------------------------------------------------


@every_trainer
def test_only_logged_columns_are_expected_to_do_something(log: Log) -> None:
    diagnosis = log.judged(rec=falls(), kl=20 * noise(seed=1))
    text = said(diagnosis) + diagnosis.next[0].expected
    assert not any(name in text for name in ("perceptual_loss", "d_weight", "logits"))


def test_the_component_that_rose_is_named_where_the_log_has_it() -> None:
    rises = 0.1 * np.exp(ROW / 60)
    for parts in ({"perceptual_loss": rises, "kl_loss": np.full(ROWS, 3.0) * noise(seed=1)}, {}):
        diagnosis = diagnose(draft({"nll_loss": 0.05 + rises, **parts}).run())
        assert ("Which component rose" in said(diagnosis)) == (not parts)


def test_a_quantised_model_before_its_gan_is_no_vae() -> None:
    columns = {
        "rec_loss": falls(),
        "quant_loss": 0.1 * noise(seed=1),
        "perplexity": 300 * noise(seed=2),
        "disc_loss": np.zeros(ROWS),
    }
    assert "VAE only" not in said(diagnose(draft(columns).run()))


@every_trainer
def test_rules_that_ran_and_rules_that_could_not_add_up(log: Log) -> None:
    diagnosis = log.judged(rec=falls())
    ran, of = (int(n) for n in re.findall(r"(\d+) of (\d+) rules", diagnosis.confidence_text)[0])
    assert of == len(ALL_RULES) and ran + len(diagnosis.skipped) == of


# --- finished runs ----------------------------------------------------------------------------------------------------------


def bad_run(kind: str) -> Draft:
    if kind == "stop":
        return draft({"rec_loss": 0.4 * noise(0.01), "kl_loss": 3 * noise(0.01, 1), "lr": np.zeros(ROWS)})
    if kind == "act":
        return draft({"rec_loss": falls(), "psnr": 25 + ROW / 40 - 6 * (ROW > 130)})
    return draft({"rec_loss": falls(), "perceptual_loss": falls(0.5, 0.1, seed=3) * np.where(ROW > 150, 2, 1)})


@pytest.mark.parametrize("kind", ["stop", "act", "watch"])
@pytest.mark.parametrize("how", ["plan", "event"])
def test_a_finished_run_is_not_told_to_stop_or_carry_on(kind: str, how: str) -> None:
    out = bad_run(kind)
    assert diagnose(out.run()).headline.lower().startswith(kind)
    if how == "plan":
        out.config["total_steps"] = 10 * (ROWS - 1) + 1
    run = (
        out.run()
        if how == "plan"
        else replace(out.run(), events=(Event("finished", 1990, None, "the run reached its last step"),))
    )
    diagnosis = diagnose(run)
    assert (
        diagnosis.status == kind
        and diagnosis.headline.startswith("Ended")
        and status_text(diagnosis).startswith("Ended")
    )
    text = "\n".join([diagnosis.headline, *(n.text for n in diagnosis.next), *(q.answer for q in diagnosis.questions)])
    assert not any(
        words in text
        for words in ("Yes, stop", "Stop:", "Stop and look", "stop and look", "Carry on", "Not yet; watch")
    )


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
    assert diagnosis.status == "stop" and diagnosis.causes[0].id == "E1" and "NUM503" not in codes(diagnosis)


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
def test_of_totals_that_fall_together_it_is_said(tmp_path: Path, train: str, held_out: str) -> None:
    a = decay(60, 15, 5, 6) * noise(0.01)[:60]
    diagnosis = totals(tmp_path, train, held_out, a, 1.15 * decay(60, 15, 5, 6) * noise(0.01, 1)[:60])
    assert diagnosis.status == "cannot-tell" and "held-out total fall together" in diagnosis.headline


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
    assert not {"DAT701", "DAT709", "REC104"} & set(codes(diagnosis))
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


@every_trainer
def test_data_that_become_easy_at_once_are_told_though_the_loss_falls_on(log: Log) -> None:
    black = np.where(ROW > 120, 0.03 * np.exp(-np.minimum(ROW - 120, 40) / 12), 1.0)
    diagnosis = log.judged(rec=falls() * black, lr=np.full(ROWS, 1e-4))
    assert diagnosis.status == "act" and {c.id for c in diagnosis.causes[:2]} & {"A4", "A5"}


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
        assert not {"DAT701", "DAT705", "REC104"} & set(codes(diagnosis))


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
    drifted = next(f.message for f in diagnosis.findings if f.code == "REC110")
    assert diagnosis.status == "stop" and "stands at" not in drifted and "before it became NaN" in drifted
    assert "e+0" not in drifted


@every_trainer
def test_a_reconstruction_below_zero_was_judged_on_its_rows(log: Log) -> None:
    assert f"could run on {ROWS} rows" in log.judged(rec=-falls()).confidence_text


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
