"""Every rule fires on one minimal run made for it, with the severity and the numbers that were planted."""

from __future__ import annotations

import numpy as np
import pytest

import evaluated_runs
import generic_runs  # noqa: F401 - registers its cases
import probed_runs  # noqa: F401 - registers its cases
from rule_runs import CASES, ROWS, fires, noise, vae, with_rec
from synthetic_runs import Draft, decay, draft, healthy, hinge, warm_up_then_cosine
from vaelab.diagnosis import diagnose
from vaelab.facts import infer
from vaelab.rules import ALL_RULES
from vaelab.run import Event, ReadNote


def scaled_from(out: Draft, row: int, factor: float) -> Draft:
    """rec_loss times ``factor`` from ``row`` on."""
    return with_rec(out, out.columns["rec_loss"] * np.where(np.arange(len(out.steps)) >= row, factor, 1.0))


def gan(real: float, fake: float, spread: float = 0.3, system: str = "pyramid_flow", wobble: float = 0.02) -> Draft:
    """A healthy run whose logits stand at the given means while the GAN is on."""
    out = healthy(system, 0)
    rng = np.random.default_rng(1)
    on = out.columns["disc_factor"] > 0
    r, f = real + rng.normal(0, wobble, ROWS), fake + rng.normal(0, wobble, ROWS)
    for name, values in (
        ("logits_real", r),
        ("logits_fake", f),
        ("disc_loss", hinge(r, f, spread, rng)),
        ("g_loss", -f),
    ):
        out.columns[name] = np.where(on, values, out.columns[name])
    return out


def shaken(height: float, remains: float) -> Draft:
    out = healthy("pyramid_flow", 0)
    after = np.arange(ROWS) - 150
    curve = np.where(after >= 0, remains + (height - remains) * np.exp(-np.maximum(after, 0) / 12), 1.0)
    out.columns["rec_loss"] = 0.0033 * curve * noise(0.03)
    out.columns["perceptual_loss"] = 0.05 * noise(0.03, seed=1)
    del out.columns["total_loss"], out.columns["nll_loss"]
    return out


# --- REC ------------------------------------------------------------------------------------------------------------------


@fires("REC107", "critical", {"largest plausible": (200, 0.01)})
def _() -> Draft:
    return with_rec(vae(), decay(ROWS, 12_000, 900) * noise())


# --- KL -------------------------------------------------------------------------------------------------------------------


@fires("KL201", "critical")
def _() -> Draft:
    out = with_rec(vae(), 0.2 * noise())
    out.config["latent_shape"] = "16x3x32x32"
    out.columns["kl_loss"] = decay(ROWS, 3000, 3, 20) * noise(seed=1)
    return out


@fires("KL203", "critical", {"effective beta": (2.09, 0.01)})
def _() -> Draft:
    out = vae()
    out.config |= {"kl_weight": 1e-4, "clip_shape": "17,256,256"}
    return with_rec(out, out.columns["rec_loss"])


@fires("KL205", "critical", {"rec_loss now / first": (10, 0.3)})
def _() -> Draft:
    out = vae()
    out.columns["kl_loss"] = np.geomspace(34_000, 1000, ROWS) * noise(0.03)
    return with_rec(out, np.geomspace(0.0025, 0.028, ROWS) * noise(0.03, seed=1))


@fires("KL206", "critical")
def _() -> Draft:
    out = vae("ldm")
    out.columns["kl_loss"] = np.linspace(1e4, 1.5e7, ROWS) * noise()
    return with_rec(out, out.columns["rec_loss"])


@fires("KL209", "critical", {"held level": (30_000, 0.1)})
def _() -> Draft:
    out = vae()
    late = np.arange(ROWS) >= 200
    out.columns["kl_loss"] = np.where(late, 300, 30_000) * noise()
    return with_rec(out, np.where(late, 0.02, 0.01) * noise(seed=1))


@fires("KL210", "critical")
def _() -> Draft:
    out = with_rec(vae(), decay(ROWS, 0.2, 0.01, 30) * noise())
    out.columns["kl_loss"] = np.r_[np.full(170, 1000), np.geomspace(1000, 2e5, 130)] * noise(seed=1)
    return with_rec(out, out.columns["rec_loss"])


@fires("KL233", "critical", {"now": (4, 0.1)})
def _() -> Draft:
    rec, kl = decay(ROWS, 1.0, 0.3, 20) * noise(), 4 * noise(0.25, seed=22)
    return draft({"rec_loss": rec, "kl_loss": kl}, trainer="radiodiff")


# --- ADV ------------------------------------------------------------------------------------------------------------------


@fires("ADV301", "warn", {"disc_start": (250_000, 0)})
def _() -> Draft:
    out = vae()
    out.config |= {"disc_start": 250_000, "total_steps": 200_000}
    return out


@fires("ADV303", "warn", {"disc_loss": (1, 0.03), "chance": (1, 0)})
def _() -> Draft:
    out = gan(0.0, 0.0)
    out.columns["perceptual_loss"] = 0.05 * np.where(out.columns["disc_factor"] > 0, 1.05, 1.0) * noise(0.01)
    return out


@fires("ADV304", "critical", {"rows with real < fake": (1, 0.05)})
def _() -> Draft:
    return gan(-0.2, 0.2)


@fires("ADV305", "critical", {"chance": (1, 0), "share": (1, 0)})
def _() -> Draft:
    return gan(2.5, -2.5)


@fires("ADV306", "info", {"before": (0.0033, 0.05), "worst": (0.0132, 0.2)})
def _() -> Draft:
    return shaken(4, 1)


@fires("ADV307", "critical", {"now / before": (3, 0.06)})
def _() -> Draft:
    return shaken(3, 3)


@fires("ADV308", "critical")
def _() -> Draft:
    out = healthy("pyramid_flow", 0)
    on = out.columns["disc_factor"] > 0
    rec = 0.01 * noise(seed=2) * np.where(on, 3.0, 1.0)
    out.columns["d_weight"] = np.where(on, 8.0, 0.0)
    out.columns["g_loss"] = np.where(on, 0.3 * noise(), 0.0)
    with_rec(out, rec)
    out.columns["total_loss"] = out.columns["total_loss"] + out.columns["d_weight"] * out.columns["g_loss"]
    return out


@fires("ADV309", "warn", {"disc_weight": (10, 0)})
def _() -> Draft:
    out = healthy("pyramid_flow", 0)
    out.config["disc_weight"] = 10.0
    return out


@fires("ADV310", "info", {"rows at the clamp": (0.5, 0.02)})
def _() -> Draft:
    out = healthy("ldm", 0)
    out.columns["d_weight"] = np.where(np.arange(ROWS) % 2 == 0, 5000.0, out.columns["d_weight"])
    return out


@fires("ADV311", "critical", {"disc_loss": (2, 0.05)})
def _() -> Draft:
    return gan(3.0, 3.0)


@fires("ADV314", "critical")
def _() -> Draft:
    out = healthy("ldm", 0)
    out.columns["d_weight"] = np.zeros(ROWS)
    return out


@fires("ADV315", "warn", {"declared": (5999, 0), "observed": (3000, 0)})
def _() -> Draft:
    out = healthy("ldm", 0)
    out.config["disc_start"] = 5999
    return out


@fires("ADV317", "critical", {"gap": (-0.8, 0.05)})
def _() -> Draft:
    out = gan(-0.4, 0.4)
    out.columns["disc_loss"] = np.where(out.columns["disc_factor"] > 0, 0.6 * noise(0.02), np.nan)
    return out


@fires("ADV320", "critical", {"sum of disc_lr over the steps": (3e-6, 0.05)})
def _() -> Draft:
    out = gan(0.02, 0.02)
    out.columns["disc_lr"] = np.full(ROWS, 1e-9)
    return out


# --- OPT ------------------------------------------------------------------------------------------------------------------


@fires("OPT402", "warn", {"early": (1, 0.15)})
def _() -> Draft:
    out = vae()
    out.columns["grad_norm"] = np.r_[np.ones(150), np.geomspace(1, 30, 150)] * noise()
    return out


@fires("OPT404", "critical", {"lr now / before": (10, 0.05)})
def _() -> Draft:
    out = scaled_from(vae(), 200, 5)
    out.columns["lr"] = np.where(np.arange(ROWS) >= 200, 1e-4, 1e-5)
    return out


@fires("OPT405", "critical", {"peak lr": (0.1, 0.02)})
def _() -> Draft:
    out = with_rec(vae(), 0.2 * noise())
    out.columns["lr"] = warm_up_then_cosine(ROWS, 0.1, 0.05)
    return out


@fires("OPT407", "critical")
def _() -> Draft:
    out = vae()
    out.columns["lr"] = np.zeros(ROWS)
    return out


# --- NUM ------------------------------------------------------------------------------------------------------------------


@fires("NUM501", "critical")
def _() -> Draft:
    out = vae()
    out.columns["rec_loss"][200:] = np.nan
    out.logged["rec_loss"] = np.ones(ROWS, bool)
    return out


@fires("NUM502", "critical")
def _() -> Draft:
    out = vae()
    out.events.append(Event("non_finite_stop", int(out.steps[-1]), 301, "Loss is nan, stopping training"))
    return out


@fires("NUM504", "warn", {"highest": (65_536, 0), "lowest after": (4, 0)})
def _() -> Draft:
    out = vae()
    out.columns["loss_scale"] = 2.0 ** np.round(np.linspace(16, 2, ROWS))
    return out


@fires("NUM505", "critical")
def _() -> Draft:
    out = vae()
    out.events.append(Event("crash", int(out.steps[-1]), 301, "torch.OutOfMemoryError: CUDA out of memory"))
    return out


@fires("NUM506", "info")
def _() -> Draft:
    out = vae()
    out.decimals["rec_loss"] = 4
    return out


@fires("NUM507", "critical")
def _() -> Draft:
    out = vae()
    out.columns["rec_loss"] = np.full(ROWS, 0.25)
    return out


# --- ALG, SCH -----------------------------------------------------------------------------------------------------------------


@fires("ALG901", "critical")
def _() -> Draft:
    out = vae()
    out.columns["nll_loss"] = out.columns["nll_loss"] * (1 + noise(0.4))
    return out


@fires("SCH601", "warn", {"declared": (1, 0), "solved": (10, 0.01)})
def _() -> Draft:
    out = vae()
    out.config["pixelloss_weight"] = 1.0
    return out


@fires("SCH602", "critical")
def _() -> Draft:
    out = vae()
    late = np.arange(ROWS) >= 150
    out.columns["nll_loss"] = out.columns["nll_loss"] + 190 * out.columns["rec_loss"] * late
    return out


@fires("SCH604", "critical", {"perceptual_weight": (50, 0.01)})
def _() -> Draft:
    out = vae()
    out.columns["nll_loss"] = 10 * out.columns["rec_loss"] + 50 * out.columns["perceptual_loss"]
    return out


# --- DAT, RES -----------------------------------------------------------------------------------------------------------------


@fires("DAT701", "critical", {"jump": (5, 0.15)})
def _() -> Draft:
    return scaled_from(vae(), 200, 5)


@fires("DAT702", "warn", {"messages": (30, 0)})
def _() -> Draft:
    out = vae()
    out.events.append(Event("data_error", 100, 12, "Error loading video a.mp4"))
    out.notes.append(ReadNote("data_errors", 30, "30 messages about files", 12))
    return out


@fires("DAT704", "critical")
def _() -> Draft:
    out = healthy("ldm", 0, noise=1e-4)
    before = out.columns["disc_factor"] == 0
    out.columns["logits_real"] = np.where(before, 0.31, out.columns["logits_real"])
    return out


@fires("DAT706", "critical", {"fall": (5, 0.25)})
def _() -> Draft:
    return scaled_from(vae(), 200, 0.2)


@fires("RES802", "critical", {"before": (0.6, 0.05), "after": (1, 0.05)})
def _() -> Draft:
    out = gan(0.4, -0.4, 0.1)
    out.columns["disc_loss"][240:] = np.linspace(1.0, 0.8, 60)
    out.events.append(Event("resume", 4800, 250, "Auto resume checkpoint"))
    return out


@fires("KL213", "warn", {"highest": (400, 0.1)})
def _() -> Draft:
    out = vae()
    out.columns["perplexity"] = np.where(np.arange(ROWS) < 100, 400.0, 60.0) * noise()
    return out


@fires("REC114", "warn", {"val_ema/rec_loss": (0.02, 0.1)})
def _() -> Draft:
    out = vae()
    every = np.arange(ROWS) % 20 == 19
    out.columns["val/rec_loss"] = np.where(every, 0.01, np.nan)
    out.columns["val_ema/rec_loss"] = np.where(every, 0.02, np.nan)
    return out


# --- tests ----------------------------------------------------------------------------------------------------------------


def test_every_rule_has_its_run() -> None:
    assert set(CASES) == {rule.code for rule in ALL_RULES}


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_rule_fires_with_its_severity_and_its_numbers(code: str) -> None:
    case = CASES[code]
    diagnosis = diagnose(case.build().run(), select=[code])
    found = [f for f in diagnosis.findings if f.code == code]
    assert found, [(s.code, s.missing) for s in diagnosis.skipped]
    assert found[0].severity == case.severity, found[0].message
    evidence = {e.name: e.value for f in found for e in f.evidence}
    for name, (value, tolerance) in case.evidence.items():
        assert name in evidence, evidence
        assert evidence[name] == pytest.approx(value, rel=max(tolerance, 1e-9)), evidence
    last = int(diagnosis.run.steps[-1])
    for finding in found:
        assert finding.message and finding.name == next(r.name for r in ALL_RULES if r.code == code)
        for step in (finding.first_step, finding.last_step):
            assert step is None or 0 <= step <= last


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda r: r.code)
def test_a_rule_whose_needs_are_missing_is_listed_with_what_it_missed(rule) -> None:  # type: ignore[no-untyped-def]
    diagnosis = diagnose(draft({"memory": [1.0, 2.0, 3.0]}).run(), select=[rule.code])
    skipped = {s.code: s.missing for s in diagnosis.skipped}
    assert skipped.get(rule.code, ()) == rule.needs
    assert not [f for f in diagnosis.findings if f.code == rule.code and f.severity == "critical"]


@pytest.mark.parametrize("rule", [r for r in ALL_RULES if r.needs], ids=lambda r: r.code)
def test_taking_away_any_need_skips_the_rule(rule) -> None:  # type: ignore[no-untyped-def]
    for need in rule.needs:
        names = need.split("|")
        out = CASES[rule.code].build()
        columns = set(out.columns) | {"config"}
        if (not set(names) <= columns and not set(names) & set(out.columns)) or "effective-beta" in names:
            continue  # a fact rather than a column
        out.columns = {n: v for n, v in out.columns.items() if n not in names}
        if "config" in names:
            out.config = {}
        assert need in infer(out.run()).missing(rule.needs)


def test_the_evaluation_of_a_healthy_checkpoint_gives_no_finding() -> None:
    codes = [rule.code for rule in ALL_RULES if any(need.startswith("evaluation.") for need in rule.needs)]
    assert len(codes) == 13
    assert diagnose(evaluated_runs.evaluated().run(), select=codes).findings == ()
