"""What an expert would say of kinds of runs that vaelab once misjudged: each with the column names of several trainers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expert_logs import ROW, ROWS, Log, codes, every_trainer, falls, noise, said
from synthetic_runs import Draft, draft, healthy, hinge, lognormal
from vaelab.diagnosis import diagnose
from vaelab.readers import read
from vaelab.report.layout import status_text
from vaelab.rules import ALL_RULES
from vaelab.run import Event


@pytest.fixture
def log(tmp_path: Path, trainer: str) -> Log:
    return Log(tmp_path, trainer)


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


def test_a_discriminator_at_chance_costs_nothing_while_the_perceptual_loss_falls() -> None:
    out = healthy("pyramid_flow", 0)
    on, rows = out.columns["disc_factor"] > 0, len(out.steps)
    rng = np.random.default_rng(2)
    real, fake = (np.where(on, rng.normal(0, 0.02, rows), np.nan) for _ in range(2))
    out.columns |= {"logits_real": real, "logits_fake": fake, "g_loss": -fake, "disc_loss": np.where(on, 1 + rng.normal(0, 2e-3, rows), np.nan),
                    "d_weight": np.where(on, 0.5, np.nan)}  # fmt: skip

    def verdict(perceptual: np.ndarray) -> str:
        out.columns["perceptual_loss"] = perceptual * lognormal(np.random.default_rng(4), 0.03, rows)
        columns = [n for n in out.columns if n not in ("total_loss", "nll_loss")]
        return codes(diagnose(out.keep(*columns).run()))["ADV303"]

    assert verdict(np.linspace(0.08, 0.04, rows)) == "info"
    assert verdict(np.where(on, 0.055, 0.05)) == "warn"


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


def test_the_chance_level_of_a_weighted_hinge_loss_uses_its_weight() -> None:
    rng = np.random.default_rng(3)
    real, fake = rng.normal(0.3, 0.05, ROWS), rng.normal(-0.3, 0.05, ROWS)
    disc = 0.5 * hinge(real, fake, 0.3, rng)
    columns = {"rec_loss": falls(), "disc_loss": disc, "logits_real": real, "logits_fake": fake, "g_loss": -fake}
    for trainer in ("llamagen", "unknown"):
        gan = diagnose(draft(columns, trainer=trainer).run()).facts.adversary
        assert gan is not None and (gan.family, gan.chance) == ("hinge", 0.5)


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
