"""Rules that have a second way to their finding, and the look-alike of it that must stay silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rule_runs import ROWS, noise, vae, with_rec
from synthetic_runs import Draft, decay, draft
from test_rules_fire import gan
from vaelab import read
from vaelab.diagnosis import diagnose
from vaelab.rules.base import Finding


def finding(out: Draft, code: str) -> Finding | None:
    return next((f for f in diagnose(out.run(), select=[code]).findings if f.code == code), None)


@pytest.mark.parametrize(("times", "severity"), [(3, None), (30, "warn"), (2000, "warn")])
def test_the_largest_value_between_two_rows_shows_a_freak_sample(times: float, severity: str | None) -> None:
    out = with_rec(vae(warm_up=0.0), decay(ROWS, 0.4, 0.02, 12) * noise())
    out.columns["rec_loss_max"] = 1.5 * out.columns["rec_loss"]
    out.columns["rec_loss_max"][200] = times * out.columns["rec_loss"][200]
    found = finding(out, "DAT710")
    assert (found and found.severity) == severity
    if found:
        assert (found.first_step, found.last_step) == (out.steps[199], out.steps[200])


def test_a_lasting_jump_is_no_freak_sample() -> None:
    rec = np.where(np.arange(ROWS) < 200, 0.02, 2.0) * noise()
    out = with_rec(vae(warm_up=0.0), rec)
    out.columns["rec_loss_max"] = 1.5 * rec
    assert finding(out, "DAT710") is None


def test_a_total_that_crosses_zero_has_no_scale_there(tmp_path: Path) -> None:
    lines = []
    for i in range(0, 200, 5):
        total, mean = max(0.0, 1 - 0.02 * i), 0.1 if i < 150 else 0.2
        lines.append(
            f"Epoch: [0]  [ {i:3d}/200]  eta: 0:00:10  lr: 0.000100  vae_loss: {total:.4f} ({mean:.4f})  total_loss: {total:.4f} ({mean:.4f})"
            f"  kl_loss: 50.0000 (50.0000)  nll_loss: 0.5000 (0.5000)  rec_loss: 0.0500 (0.0500)"
        )
    log = tmp_path / "train.log"
    log.write_text("\n".join(lines) + "\n")
    assert diagnose(read(log), select=["DAT710"]).findings == ()


def total_only(weight: np.ndarray, kl: np.ndarray | float = 50.0) -> Draft:
    out = vae("radiodiff", warm_up=0.0).keep("rec_loss", "kl_loss", "total_loss")
    out.columns["rec_loss"] = 0.05 * noise(0.1)
    out.columns["kl_loss"] = kl * noise(0.1, seed=1)
    out.columns["total_loss"] = weight * out.columns["rec_loss"] + 0.001 * weight.max() * out.columns["kl_loss"] / 50
    return out


def test_a_weight_that_changes_shows_in_the_total_alone() -> None:
    late = np.arange(ROWS) >= 180
    out = total_only(np.where(late, 4000.0, 500.0))
    found = finding(out, "SCH602")
    assert found is not None and found.severity == "critical"
    assert found.first_step in out.steps[178:183]
    assert found.evidence[0].value == pytest.approx(580, rel=0.1)
    assert finding(total_only(np.full(ROWS, 500.0)), "SCH602") is None
    # a KL that jumps moves the total too
    out = total_only(np.full(ROWS, 500.0), np.where(late, 5000.0, 50.0))
    out.columns["total_loss"] += out.columns["kl_loss"]
    assert finding(out, "SCH602") is None


def test_logits_that_drift_away_late_are_seen() -> None:
    out = gan(0.3, -0.3)
    both = np.linspace(0, 5, 60)
    for name in ("logits_real", "logits_fake"):
        out.columns[name][-60:] += both
    out.columns["disc_loss"][-60:] += both / 2
    found = finding(out, "ADV311")
    assert found is not None and found.severity == "critical"


def test_a_discriminator_that_wins_without_damage_is_watched() -> None:
    won = finding(gan(2.5, -2.5), "ADV305")
    assert won is not None and won.severity == "critical"
    out = gan(1.3, -1.3)
    on = out.columns["disc_loss"] > 0
    out.columns["disc_loss"] = np.where(on, 0.06, out.columns["disc_loss"])
    watched = finding(out, "ADV305")
    assert watched is not None and watched.severity == "warn"


@pytest.mark.parametrize(("rows", "found"), [(8, False), (12, True)])
def test_ten_rows_that_all_agree_show_a_discriminator_below_chance(rows: int, found: bool) -> None:
    out = gan(-0.2, 0.2)
    start = int(np.argmax(np.isfinite(out.columns["logits_real"]) & (out.columns["disc_loss"] > 0)))
    assert (finding(out.head(start + rows), "ADV304") is not None) == found


@pytest.mark.parametrize(("first", "found"), [(0.5, False), (400.0, True)])
def test_in_the_first_steps_only_a_kl_that_has_fallen_is_a_collapse(first: float, found: bool) -> None:
    rows = 60
    out = draft({"rec_loss": 0.4 * noise(rows=rows), "kl_loss": decay(rows, first, 0.5, 12)}, every=1)
    out.trainer, out.config = "radiodiff", {"latent_shape": [3, 16, 16]}
    assert (finding(out, "KL201") is not None) == found
    out.steps = out.steps * 10
    assert finding(out, "KL201") is not None


@pytest.mark.parametrize(
    ("before", "after", "severity"), [(1e-3, 0.04, "critical"), (1e-4, 1e-3, "warn"), (1e-3, 0.004, "warn")]
)
def test_a_learning_rate_that_jumps_beyond_all_before_is_acted_on_at_once(
    before: float, after: float, severity: str
) -> None:
    out = with_rec(vae(warm_up=0.0), decay(ROWS, 0.4, 0.02, 12) * noise())
    out.columns["lr"] = np.where(np.arange(ROWS) < 200, before, after)
    found = finding(out.head(201), "OPT404")
    assert found is not None and found.severity == severity and found.first_step == out.steps[200]


@pytest.mark.parametrize("latent_goes_on", [True, False])
def test_blank_samples_jump_and_then_cost_nothing_any_more(latent_goes_on: bool) -> None:
    row, since = np.arange(ROWS), np.maximum(np.arange(ROWS) - 180, 0)
    rec = np.where(row < 180, 0.3 + 0.7 * np.exp(-row / 15), 0.02 + 0.98 * np.exp(-since / 12))
    begins = 1000 * (1 - np.exp(-(row + 1) / 20))
    kl = begins if latent_goes_on else np.where(row < 180, begins, 1000 * (1 - np.exp(-(since + 1) / 20)))
    out = draft({"rec_loss": rec * noise(), "kl_loss": kl * noise(seed=1)})
    easier, again = finding(out, "DAT706"), finding(out, "RES804")
    # untrained weights have the KL of the first rows; then it began anew
    assert (again is None) == latent_goes_on
    assert not latent_goes_on or (easier is not None and easier.severity == "critical")


def test_a_jump_of_a_loss_without_a_reconstruction_beside_it_is_judged(tmp_path: Path) -> None:
    log = tmp_path / "train.csv"
    rows = [(100 * i, 0.1 + 1 / i if i < 70 else 0.6, 0.95 - 0.6 / i if i < 70 else 0.6) for i in range(1, 101)]
    log.write_text("step,loss,ssim\n" + "".join(f"{s},{loss:.4f},{ssim:.4f}\n" for s, loss, ssim in rows))
    assert diagnose(read(log)).status in ("act", "stop")


@pytest.mark.parametrize(("name", "found"), [("total_kld", True), ("kld", False)])
def test_a_kl_that_is_named_a_total_has_a_unit(name: str, found: bool, tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    rec = 600 + 2400 * np.exp(-np.arange(80) / 6) * noise(0.01)[:80]
    log.write_text("".join(f"[{5 * (i + 1)}] recon_loss:{v:.3f} {name}:0.5{i % 7}0\n" for i, v in enumerate(rec)))
    assert bool(diagnose(read(log), select=["KL201"]).findings) == found


@pytest.mark.parametrize(("grows", "found"), [(1.0, True), (2.0, False)])
def test_a_kl_that_never_moves_is_that_of_an_encoder_that_is_not_trained(
    grows: float, found: bool, tmp_path: Path
) -> None:
    log = tmp_path / "console.log"
    rec = 600 + 600 * np.exp(-np.arange(160) / 6)
    kl = 4.0 * np.geomspace(1, grows, 160) * noise(0.1)[:160]
    rows = zip(rec * noise(0.05, seed=1)[:160], kl, strict=True)
    log.write_text("".join(f"[{5 * (i + 1)}] recon_loss:{r:.3f} total_kld:{k:.3f}\n" for i, (r, k) in enumerate(rows)))
    got = diagnose(read(log))
    assert any(f.code == "KL233" and f.severity == "critical" for f in got.findings) == found
    assert not found or got.causes[0].id == "E14"


def test_a_total_that_jumps_is_judged_where_no_reconstruction_is_logged(tmp_path: Path) -> None:
    rows = [f"{i},{(0.5 if i < 120 else 2.5) * v:.6f}" for i, v in enumerate(noise(0.02)[:200])]
    (tmp_path / "log.csv").write_text("step,loss\n" + "\n".join(rows) + "\n")
    judged = diagnose(read(tmp_path / "log.csv"))
    assert "total_loss" in judged.run and judged.status in ("watch", "act", "stop")
    assert "RES804" not in {f.code for f in judged.findings}


@pytest.mark.parametrize(("rows", "nats", "severity"), [(60, 4, "warn"), (120, 4, "critical"), (120, 4000, "warn")])
def test_an_untrained_run_in_which_nothing_moves_is_acted_on_once_it_is_long(
    rows: int, nats: float, severity: str
) -> None:
    rec = 0.2 * (1 - 0.015 * np.arange(rows) / rows) * noise(0.01)[:rows]
    out = draft({"rec_loss": rec, "kl_loss": nats * noise(0.02, seed=1)[:rows]}, trainer="radiodiff")
    found = finding(out, "MET1003")
    assert found is not None and found.severity == severity
    assert severity == "warn" or diagnose(out.run()).causes[0].id == "E2"


@pytest.mark.parametrize(("falls", "found"), [(1.0, True), (1.3, False)])
def test_a_commitment_loss_that_never_moves_is_that_of_an_encoder_that_is_not_trained(
    falls: float, found: bool
) -> None:
    rec = 0.1 + 0.3 * np.exp(-np.arange(ROWS) / 30)
    commit = 0.01 * np.geomspace(falls, 1, ROWS) * noise(0.03, seed=1)
    out = draft({"rec_loss": rec * noise(), "quant_loss": commit}, trainer="llamagen")
    got = finding(out, "KL233")
    assert (got is not None and got.severity == "warn" and got.subject == "quantiser") == found
