"""What is said of logs of which little is known: healthy only where a reconstruction was judged, nothing from unknown units."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from synthetic_runs import Draft, decay, draft, lognormal
from vaelab.catalog.roles import Role, RoleName
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.run import Event, ReadNote, Run

ROWS = 200
ROW = np.arange(ROWS)


def noise(scale: float = 0.05, seed: int = 0) -> np.ndarray:
    return lognormal(np.random.default_rng(seed), scale, ROWS)


def falls(start: float = 1.0, end: float = 0.05, pace: float = 6, seed: int = 0) -> np.ndarray:
    return decay(ROWS, start, end, pace) * noise(seed=seed)


def given(out: Draft, **roles: Role) -> Run:
    """The run with roles on its columns."""
    run = out.run()
    columns = {n: replace(c, role=roles[n]) if n in roles else c for n, c in run.columns.items()}
    return replace(run, columns=columns)


def inferred(name: RoleName, better: str = "none") -> Role:
    return Role(name, better=better, standing="inferred", reason="by its name")  # type: ignore[arg-type]


def said(diagnosis: Diagnosis) -> str:
    return "\n".join(
        [diagnosis.headline, *(f.message for f in diagnosis.findings), *(s.text for s in diagnosis.statements),
         *(n.text for n in diagnosis.next), *(q.answer for q in diagnosis.questions), *diagnosis.positive]
    )  # fmt: skip


# --- healthy needs a reconstruction -----------------------------------------------------------------------------------------


def test_a_reconstruction_that_falls_is_healthy() -> None:
    assert diagnose(draft({"rec_loss": falls()}).run()).status == "healthy"


def test_a_held_out_quality_is_enough() -> None:
    psnr = np.where(ROW % 40 == 39, 20 + ROW / 20, np.nan)
    assert diagnose(draft({"total_loss": falls(), "val/psnr": psnr}).run()).status == "healthy"


def test_a_total_alone_cannot_tell_and_says_why() -> None:
    diagnosis = diagnose(draft({"total_loss": falls()}).run())
    assert diagnosis.status == "cannot-tell" and diagnosis.confidence == 0
    assert "total" in diagnosis.headline and "--map" in diagnosis.headline


def test_unknown_columns_are_named_with_the_flag_that_settles_them() -> None:
    diagnosis = diagnose(draft({"l_g_pix": falls(), "noise": noise()}).run())
    assert diagnosis.status == "cannot-tell"
    assert "--map l_g_pix=reconstruction" in diagnosis.headline and "noise" not in diagnosis.headline


def test_an_ambiguous_column_is_asked_for_first() -> None:
    doubtful = Role(standing="ambiguous", could_be=("reconstruction", "perceptual"))
    run = given(draft({"other": falls(), "gen loss": falls()}), **{"gen loss": doubtful})
    assert '--map "gen loss=reconstruction"' in diagnose(run).headline


def test_a_log_of_which_most_was_not_read_is_never_healthy() -> None:
    unread = ReadNote("mostly_unread", 1050, "1,050 of 1,100 lines with numbers hold nothing that was read")
    diagnosis = diagnose(replace(draft({"rec_loss": falls()}).run(), notes=(unread,)))
    assert diagnosis.status == "cannot-tell" and "1,050 of 1,100" in diagnosis.headline


def test_losses_of_which_nothing_is_known_are_never_healthy() -> None:
    doubtful = Role(standing="ambiguous", could_be=("generator_adversarial", "total"))
    run = given(draft({"gen_loss": falls(), "alpha": falls(seed=1)}), gen_loss=doubtful)
    assert diagnose(run).status == "cannot-tell"


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_constants_are_never_healthy(value: float) -> None:
    columns = {name: np.full(ROWS, value) for name in ("rec_loss", "total_loss", "psnr", "lr")}
    assert diagnose(draft(columns).run()).status not in ("healthy",)


# --- roles that are not known -----------------------------------------------------------------------------------------------


def test_what_was_inferred_is_said_once_in_the_headline() -> None:
    out = draft({"rec_loss": falls(), "l_perc": 0.2 * noise(seed=1) * np.where(ROW < 100, 1, 3)})
    diagnosis = diagnose(given(out, l_perc=inferred("perceptual", "down")))
    assert diagnosis.status == "watch"
    assert diagnosis.headline.count("read as the perceptual loss") == 1


def test_an_ambiguous_column_is_never_acted_on() -> None:
    out = draft({"x": np.where(ROW < 150, falls(), np.nan)}, logged={"x": np.ones(ROWS, bool)})
    doubtful = Role("reconstruction", better="down", standing="ambiguous", could_be=("reconstruction", "total"))
    assert diagnose(given(out, x=doubtful)).status == "watch"
    assert diagnose(given(out, x=inferred("reconstruction", "down"))).status == "stop"


# --- nothing from the level of an unknown loss ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1e-3, 240.0, 5e5])
def test_the_level_of_an_unknown_loss_says_nothing(level: float) -> None:
    diagnosis = diagnose(draft({"rec_loss": level * falls(1.0, 0.6), "kl_loss": 6 * (1 - 0.5 * falls())}).run())
    assert diagnosis.status == "healthy"
    assert "normalised" not in said(diagnosis) and "same samples" not in said(diagnosis)


def test_a_kl_with_a_minus_sign_is_judged_by_its_size() -> None:
    diagnosis = diagnose(draft({"rec_loss": falls(), "kl_loss": -20 * (1 - 0.7 * decay(ROWS, 1, 0, 6))}).run())
    assert diagnosis.status == "healthy"
    assert "minus sign" in said(diagnosis) and "almost no information" not in said(diagnosis)


def test_a_kl_with_a_minus_sign_is_judged_by_its_size_in_a_known_trainer_too() -> None:
    columns = {"rec_loss": falls(0.1, 0.025), "kl_loss": -48 * (1 - 0.7 * decay(ROWS, 1, 0, 6))}
    columns["kl_loss"][100] = 0.01  # a single row rounded to the other side
    run = given(draft(columns, trainer="pytorch_vae"), kl_loss=Role("kl", "negated", standing="known"))
    diagnosis = diagnose(run)
    assert diagnosis.status == "healthy"
    assert said(diagnosis).count("minus sign") == 1 and "printed as 0" not in said(diagnosis)
    assert diagnosis.facts.scales.kl_nats_total == pytest.approx(48, rel=0.02)


def test_a_small_kl_of_which_all_digits_are_printed_is_not_printed_as_zero() -> None:
    kl = np.array([float(f"{v:.3g}") for v in 2.9 * np.exp(-ROW / 40) + 0.02])
    run = draft({"rec_loss": falls(0.3, 0.1), "kl_loss": kl}).run()
    columns = {**run.columns, "kl_loss": replace(run.columns["kl_loss"], decimals=1)}  # 2.9 has one
    assert "printed as 0" not in said(diagnose(replace(run, columns=columns)))


def test_what_moved_and_came_back_has_moved() -> None:
    rec = np.where(
        ROW < 120, 0.02 + 0.2 * np.exp(-ROW / 20), np.minimum(0.25, 0.02 * np.exp((ROW - 120) / 15))
    ) * noise(0.02)
    diagnosis = diagnose(draft({"rec_loss": rec, "kl_loss": 10 * noise(0.02)}).run())
    assert diagnosis.status != "healthy" and "Nothing moves" not in said(diagnosis) and "learned" not in said(diagnosis)


def test_a_kl_that_rises_by_orders_of_magnitude_before_a_nan_is_said() -> None:
    kl, total = 3e3 * np.exp(ROW / 22), 0.3 + 3e3 * np.exp(ROW / 22)
    total[-1] = np.nan
    every = {"total_loss": np.ones(ROWS, bool)}
    diagnosis = diagnose(draft({"total_loss": total, "kl_loss": kl}, logged=every).run())
    assert "kl_loss rose" in said(diagnosis) and diagnosis.status == "stop"
    early = draft({"total_loss": total, "kl_loss": 30 * (1 - np.exp(-ROW / 10)) + 1e-3}, logged=every)
    assert "kl_loss rose" not in said(diagnose(early.run()))


def test_a_message_names_a_loss_as_the_log_does() -> None:
    run = draft({"rec_loss": falls(), "alignment_loss": 1.05 * noise(0.1)}).run()
    columns = {**run.columns, "alignment_loss": replace(run.columns["alignment_loss"], original="train/vf_loss")}
    stuck = [f for f in diagnose(replace(run, columns=columns)).findings if f.code == "MET1003"]
    assert len(stuck) == 1 and "train/vf_loss (alignment_loss) stays flat" in stuck[0].message


def test_what_was_learned_and_lost_to_the_discriminator_was_learned() -> None:
    rec = np.where(ROW < 120, 0.16 + 0.26 * np.exp(-ROW / 40), 0.16 + 0.2 * np.minimum(1, (ROW - 110) / 40)) * noise(
        0.02
    )
    real, fake = (np.where(ROW < 115, side, 20 * side) for side in (0.15, -0.15))
    disc = np.where(ROW < 115, 0.85, 0.01) * noise(0.02)
    diagnosis = diagnose(
        draft({"rec_loss": rec, "disc_loss": disc, "logits_real": real, "logits_fake": fake, "g_loss": -fake}).run()
    )
    assert "learned" not in said(diagnosis)
    won = next(f for f in diagnosis.findings if f.code == "ADV305")
    assert won.explained_by is None and {c.id for c in diagnosis.causes[:3]} & {"D4", "D6"}


def test_a_kl_that_falls_to_nothing_while_the_reconstruction_stalls_is_a_collapse() -> None:
    diagnosis = diagnose(draft({"rec_loss": falls(3.4, 2.7, 12), "kl_loss": 4e-3 * np.exp(-ROW / 20)}).run())
    assert diagnosis.status in ("act", "stop") and diagnosis.causes[0].id in ("C1", "C2")


def test_a_fast_learner_has_learned() -> None:
    diagnosis = diagnose(draft({"rec_loss": 0.05 + 0.12 / (1 + ROW) * noise(), "kl_loss": 30 * noise()}).run())
    assert diagnosis.status == "healthy" and "learned" not in said(diagnosis)


def test_a_rate_printed_as_zero_is_not_zero() -> None:
    out = draft({"rec_loss": falls(), "lr": np.where(ROW < 50, 6e-6, 4e-6)}, decimals={"lr": 5})
    text = said(diagnose(out.run()))
    assert "cannot be read" in text and "decayed" not in text and "rate is 0" not in text


# --- adversaries without logits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.25, 0.5, math.log(2), 1.0, 2 * math.log(2), 2.0])
def test_a_discriminator_that_wins_is_found_under_every_convention(chance: float) -> None:
    on = ROW >= 60
    disc = np.where(on, chance * np.exp(-np.maximum(ROW - 60, 0) / 12) * noise(0.1), 0.0)
    rec = falls() * np.where(on, 1 + (ROW - 60) / 60, 1)
    columns = {"rec_loss": rec, "disc_loss": disc, "g_loss": np.where(on, 1.0, 0.0)}
    diagnosis = diagnose(draft(columns).run())
    assert "The discriminator has won" in said(diagnosis)
    assert "The GAN starts between step 590 and 600" in said(diagnosis)
    assert {"D4", "D6"} & {c.id for c in diagnosis.causes[:3]}


@pytest.mark.parametrize("chance", [0.25, 0.5, 1.0, 2.0])
def test_a_discriminator_that_learns_a_little_is_no_alarm(chance: float) -> None:
    disc = chance * (0.75 + 0.25 * np.exp(-ROW / 20)) * noise(0.05)
    assert diagnose(draft({"rec_loss": falls(), "disc_loss": disc, "g_loss": noise()}).run()).status == "healthy"


def test_two_halves_of_a_discriminator_loss_are_its_loss() -> None:
    out = draft({"rec_loss": falls(), "d_real": 1e-6 * noise(), "d_fake": 1e-6 * noise(seed=1),
                 "logits_real": 6 * noise(), "logits_fake": -6 * noise(seed=2), "g_loss": np.zeros(ROWS),
                 "d_weight": np.zeros(ROWS)})  # fmt: skip
    run = given(out, d_real=inferred("discriminator_real"), d_fake=inferred("discriminator_fake"))
    diagnosis = diagnose(run)
    assert diagnosis.status in ("watch", "act")
    assert {"D4", "D18"} & {c.id for c in diagnosis.causes[:3]}


# --- verdicts of single metrics -----------------------------------------------------------------------------------------------


def test_a_metric_worse_than_its_best_is_never_good() -> None:
    rec = falls(1.0, 0.02) * np.where(ROW < 150, 1, 4)
    verdicts = {m.metric: m for m in diagnose(draft({"rec_loss": falls(), "perceptual_loss": rec}).run()).metrics}
    assert verdicts["perceptual_loss"].status in ("watch", "bad")
    assert verdicts["rec_loss"].status == "good"


def test_a_nan_names_its_first_row_and_the_last_number_before_it() -> None:
    rec = falls()
    rec[160:] = np.nan
    out = draft({"rec_loss": rec}, logged={"rec_loss": np.ones(ROWS, bool)})
    text = said(diagnose(out.run()))
    assert "from step 1,600 to the end" in text and "step 1,590" in text


def test_a_rate_that_is_nan_stops_nothing() -> None:
    out = draft({"rec_loss": falls(), "lr": np.full(ROWS, np.nan)}, logged={"lr": np.ones(ROWS, bool)})
    assert diagnose(out.run()).status == "watch"


def test_a_total_is_not_held_to_a_formula_that_lacks_its_terms() -> None:
    rec, kl, align = falls(), 5000 * noise(), noise(seed=3)
    nll = 196608 * rec
    out = draft({"rec_loss": rec, "nll_loss": nll, "kl_loss": kl, "vf_loss": align, "total_loss": nll + 1e-6 * kl + 3000 * align},
                trainer="ldm", config={"kl_weight": 1e-6})  # fmt: skip
    text = said(diagnose(given(out, vf_loss=inferred("alignment", "down"))))
    assert all("vf_loss" in line for line in text.splitlines() if "does not close" in line)


# --- resumes and shocks that decay ------------------------------------------------------------------------------------------

SHOCK = np.where(ROW >= 120, np.exp(-(ROW - 120) / 10), 0.0)
"""0 before row 120, then 1 and falling back over some 10 rows."""


def with_resume(**columns: np.ndarray) -> Run:
    return replace(draft(columns).run(), events=(Event("resume", 1200, None, "Resuming from checkpoint"),))


def test_a_shock_that_decays_is_no_isolated_spike() -> None:
    text = said(diagnose(draft({"rec_loss": falls() * (1 + 1.5 * SHOCK)}).run()))
    assert "next row" not in text and "jumped for the worse between step 1,190 and 1,200" in text


def test_a_discriminator_lost_at_a_resume_is_named() -> None:
    disc = (0.68 + 0.3 * SHOCK) * noise(0.02, seed=1)
    disc[:5] = 1.0
    run = with_resume(rec_loss=falls() * (1 + SHOCK), disc_loss=disc, g_loss=(0.3 - 0.25 * SHOCK) * noise(seed=2))
    diagnosis = diagnose(run)
    assert diagnosis.status == "watch" and "next row" not in said(diagnosis)
    assert diagnosis.causes[0].id == "H3"


@pytest.mark.parametrize("metric", ["rec_loss", "total_loss"])
def test_an_optimiser_lost_at_a_resume_is_named(metric: str) -> None:
    columns = {metric: falls() * (1 + 2 * SHOCK), "grad_norm": (1 + 6 * SHOCK) * noise(seed=1)}
    diagnosis = diagnose(with_resume(**columns))
    assert diagnosis.status in ("watch", "act")
    assert "H4" in {c.id for c in diagnosis.causes[:3]}


def test_a_resume_that_changes_nothing_is_healthy() -> None:
    assert diagnose(with_resume(rec_loss=falls(), grad_norm=noise(seed=1))).status == "healthy"


def test_one_spike_of_a_total_is_mentioned() -> None:
    total = falls()
    total[140] *= 9
    (spike,) = [f for f in diagnose(draft({"total_loss": total}).run()).findings if f.code == "MET1005"]
    assert spike.severity == "info" and spike.first_step == 1400


def test_a_resume_without_a_step_is_placed_by_its_line() -> None:
    run = draft({"rec_loss": falls() * (1 + 2 * SHOCK)}).run()
    columns = {n: replace(c, lines=np.arange(1, ROWS + 1) + (ROW >= 120)) for n, c in run.columns.items()}
    run = replace(run, columns=columns, events=(Event("resume", None, 121, "Resuming from last.pt"),))
    assert " 1,200, at the resume" in said(diagnose(run))


# --- losses that leave every range --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", ["total_loss", "rec_loss", ""])
def test_a_discriminator_loss_that_diverges_is_watched(others: str) -> None:
    columns = {"disc_loss": 2 * np.exp(np.maximum(ROW - 100, 0) / 6) * noise(0.02, seed=1)}
    diagnosis = diagnose(draft(columns | ({others: falls()} if others else {})).run())
    assert diagnosis.status in ("watch", "act")
    assert "disc_loss rose by orders of magnitude" in said(diagnosis)


@pytest.mark.parametrize("start", [0, 60])
def test_what_starts_at_zero_or_grows_as_it_should_has_not_exploded(start: int) -> None:
    on = start <= ROW
    disc = np.where(on, 1 + 3 * (1 - np.exp(-(ROW - start) / 40)), 0.0) * noise(seed=1)
    kl = 1e-3 + 5000 * (1 - np.exp(-ROW / 60))
    diagnosis = diagnose(draft({"rec_loss": falls(), "kl_loss": kl, "disc_loss": disc}).run())
    assert "MET1006" not in {f.code for f in diagnosis.findings}


def test_a_gan_loss_that_is_zero_is_watched_whosever_it_is() -> None:
    gan = np.where((ROW >= 40) & (ROW < 110), 0.9 * noise(seed=1), 0.0)
    gan[180] = 0.004
    doubtful = Role(standing="ambiguous", could_be=("generator_adversarial", "discriminator"))
    run = given(draft({"GAN_Loss": gan, "VQ_Loss": falls()}), GAN_Loss=doubtful)
    diagnosis = diagnose(run)
    assert diagnosis.status == "watch" and "exactly 0 in 99% of the rows from step 1,100 on" in said(diagnosis)
    waits = given(draft({"GAN_Loss": np.where(ROW < 100, 0.0, 0.9), "VQ_Loss": falls()}), GAN_Loss=doubtful)
    assert "exactly 0" not in said(diagnose(waits))


# --- sums over pictures of several sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [[64, 128, 192, 256], list(range(64, 257, 8)), [128, 256, 384]])
def test_a_picture_size_that_changes_from_batch_to_batch_is_no_open_identity(sides: list[int]) -> None:
    size = np.random.default_rng(3).choice(sides, ROWS)
    rec = falls(0.4, 0.1)
    out = draft({"rec_loss": rec, "nll_loss": 3 * size**2 * rec, "kl_loss": 5e4 * noise(seed=1)})
    diagnosis = diagnose(out.run())
    assert diagnosis.status == "healthy"
    assert not {"ALG901", "SCH602"} & {f.code for f in diagnosis.findings}
    assert "pictures of several sizes" in said(diagnosis)


def test_a_weight_that_is_switched_is_no_picture_size() -> None:
    rec = falls(0.4, 0.1)
    diagnosis = diagnose(draft({"rec_loss": rec, "nll_loss": np.where(ROW < 100, 196608, 49152) * rec}).run())
    assert "SCH602" in {f.code for f in diagnosis.findings}
