"""Made-up diagnoses for the report tests: every field filled, text that tries to break out of HTML, odd numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaelab.diagnosis import QA, Diagnosis, MetricVerdict, NextStep, RankedCause
from vaelab.facts import infer
from vaelab.facts.base import Evidence, Fact, Phase
from vaelab.rules.base import Finding, Skipped
from vaelab.run import Column, Event, ReadNote, Run

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"


def column(name: str, values: Any, original: str | None = None, **rest: Any) -> Column:
    """A column logged wherever ``values`` is not None/masked; its lines are 1, 2, 3 ..."""
    values = np.asarray(values, np.float64)
    lines = np.arange(1, len(values) + 1, dtype=np.int64)
    return Column(name, original or name, values, rest.pop("logged", np.isfinite(values)), lines, **rest)


def make_run(rows: int = 500, every: int = 20, seed: int = 0, **overrides: Any) -> Run:
    """A run shaped like a video VAE-GAN: warm-up, VAE only, GAN from 40 % on, one resume, one NaN."""
    rng = np.random.default_rng(seed)
    steps = np.arange(rows, dtype=np.int64) * every
    t = np.linspace(0, 1, rows)
    gan = t >= 0.4
    noise = lambda scale: np.exp(rng.normal(0, scale, rows))  # noqa: E731
    rec = (0.0015 + 0.03 * np.exp(-t * 12)) * noise(0.08) * np.where(gan, 1 + 0.8 * np.exp(-(t - 0.4) * 12), 1)
    perceptual = (0.08 + 0.3 * np.exp(-t * 8)) * noise(0.05)
    kl = (500 + 36000 * np.exp(-t * 6)) * noise(0.03)
    nll = 10 * rec + perceptual
    disc = np.where(gan, 1.0 - 0.1 * (t - 0.4) + rng.normal(0, 0.01, rows), np.nan)
    real = np.where(gan, 0.1 * (t - 0.4) + rng.normal(0, 0.02, rows), np.nan)
    fake = np.where(gan, -0.12 * (t - 0.4) + rng.normal(0, 0.02, rows), np.nan)
    grad = 5 * noise(0.3)
    if rows > 10:
        grad[rows // 2] = np.nan
    lr = 1e-4 * np.minimum(t / 0.2, 1) * np.where(t < 0.2, 1, 0.5 * (1 + np.cos(np.pi * (t - 0.2) / 0.8)) + 0.01)
    columns = {
        c.name: c
        for c in (
            column("total_loss", nll + 1e-4 * kl - np.where(gan, 0.1, 0), "vae_loss"),
            column("rec_loss", rec),
            column("perceptual_loss", perceptual, "perception_loss"),
            column("kl_loss", kl),
            column("disc_loss", disc),
            column("logits_real", real),
            column("logits_fake", fake),
            column("d_weight", np.where(gan, 6.6 * noise(0.2), np.nan)),
            column("grad_norm", grad, logged=np.ones(rows, bool)),
            column("lr", lr),
        )
    }
    fields: dict[str, Any] = {
        "source": "logs/train.log",
        "format": "metric_logger",
        "trainer": "pyramid_flow",
        "trainer_confidence": 0.97,
        "trainer_reason": "columns vae_loss, perception_loss and the median (mean) pairs",
        "steps": steps,
        "columns": columns,
        "config": {"kl_weight": 1e-4, "disc_start": int(0.4 * rows * every), "clip_grad": 1.0, "lr": 1e-4},
        "raw_config": {},
        "events": (
            Event("epoch_start", 0, 1, "Epoch: [0]"),
            Event("resume", int(0.7 * rows * every), 350, "Auto resume checkpoint"),
        ),
        "notes": (ReadNote("foreign_lines", 42, "42 lines are not metrics and were left aside", 3),),
    }
    return Run(**{**fields, **overrides})


def make_diagnosis(run: Run | None = None, **overrides: Any) -> Diagnosis:
    """A diagnosis with every field filled, as ``vaelab.diagnose`` gives for a run with too large a KL weight."""
    run = run if run is not None else make_run()
    last, rows = (int(run.steps[-1]), len(run)) if len(run) else (0, 1)
    at = lambda share: min(int(share * rows), rows - 1)  # noqa: E731
    step = lambda share: int(run.steps[at(share)]) if len(run) else 0  # noqa: E731
    phases = (
        Phase("warm-up", "learning-rate warm-up", 0, step(0.2), 0, at(0.2)),
        Phase("vae-only", "VAE only", step(0.2), step(0.4), at(0.2), at(0.4)),
        Phase("gan-start", "GAN start and recovery", step(0.4), step(0.5), at(0.4), at(0.5)),
        Phase("gan", "VAE-GAN", step(0.5), last, at(0.5), rows - 1),
    )
    fields: dict[str, Any] = {
        "run": run,
        "facts": infer(run),
        "status": "stop",
        "headline": "The KL weight is too large: the KL term outweighs the reconstruction and quality is lost.",
        "confidence": 0.83,
        "confidence_text": "fairly sure: the loss identity closes and the KL falls as the weight predicts",
        "phases": phases,
        "statements": (
            Fact(
                "pixel_weight",
                "algebra",
                "nll = 10 x rec + perceptual closes with a residual of 0.2 %.",
                "inferred",
                10.0,
                "",
                9.98,
                10.02,
                (Evidence("residual", 0.002),),
            ),
            Fact(
                "kl_weight",
                "algebra",
                "total - nll = 1e-4 x KL before the GAN starts.",
                "inferred",
                1e-4,
                "",
                0.99e-4,
                1.01e-4,
            ),
            Fact("psnr", "units", "rec is a mean squared error on [-1, 1].", "known", 27.6, "dB"),
            Fact(
                "kl_per_element",
                "units",
                "KL is a sum over T, H, W and a mean over channels.",
                "bounded",
                0.163,
                "nats/element",
                0.1,
                0.2,
            ),
            Fact("clip_state", "optimiser", "grad_norm is logged before clipping.", "known"),
            Fact("progress", "progress", "The log does not say how many steps were planned.", "cannot-tell"),
        ),
        "metrics": (
            MetricVerdict(
                "total_loss",
                "vae_loss",
                "info",
                4.2,
                0.21,
                None,
                0.15,
                4.3,
                "falling",
                text="Mixed units: read the parts instead.",
            ),
            MetricVerdict(
                "rec_loss",
                "rec_loss",
                "bad",
                0.0315,
                0.00174,
                0.0016,
                0.0012,
                0.033,
                "falling",
                "PSNR",
                "dB",
                21.0,
                33.6,
                34.0,
                "Stays below what a 16-channel VAE reaches.",
            ),
            MetricVerdict(
                "kl_loss",
                "kl_loss",
                "bad",
                37881.0,
                612.0,
                None,
                500.0,
                38200.0,
                "falling",
                "KL per latent element",
                "nats/element",
                12.3,
                0.199,
                None,
                "Almost nothing is encoded.",
            ),
            MetricVerdict(
                "disc_loss",
                "disc_loss",
                "watch",
                1.0,
                0.951,
                None,
                0.93,
                1.03,
                "flat",
                text="Chance level of this loss is 1.",
            ),
            MetricVerdict(
                "grad_norm", "grad_norm", "ok", 5.1, 4.8, None, 2.2, 12.0, "noisy", text="Logged before clipping at 1."
            ),
            MetricVerdict("lr", "lr", "info", 0.0, 1e-6, None, 0.0, 1e-4, "falling"),
        ),
        "findings": (
            Finding(
                "V101",
                "kl-dominates",
                "critical",
                "The weighted KL is larger than the weighted reconstruction.",
                ("kl_loss", "rec_loss"),
                step(0.1),
                last,
                (Evidence("KL share of total", 97.3, "%", step(0.1), 105), Evidence("beta", 2.1)),
                "vae-only",
            ),
            Finding(
                "R102",
                "reconstruction-plateau",
                "warn",
                "Reconstruction stopped improving.",
                ("rec_loss",),
                step(0.8),
                last,
                (Evidence("PSNR", 27.6, "dB", last, 500),),
                "gan",
                "V101",
            ),
            Finding(
                "D103",
                "discriminator-at-chance",
                "warn",
                "The discriminator does not tell real from fake.",
                ("disc_loss", "logits_real", "logits_fake"),
                step(0.5),
                last,
                (Evidence("gap", 0.08),),
                "gan",
            ),
            Finding(
                "O104",
                "every-step-clipped",
                "info",
                "Every step is clipped: coefficient 0.2.",
                ("grad_norm",),
                0,
                last,
                (Evidence("clipped share", 99.8, "%"),),
            ),
        ),
        "causes": (
            RankedCause(
                "C2",
                "kl-weight-too-big",
                "KL weight too big",
                0.71,
                ("V101", "R102"),
                (),
                ("V101", "R102"),
                "Run 500 steps from the same checkpoint with kl_weight 1e-6.",
                NextStep(
                    "Lower the KL weight.",
                    ("--kl_weight 1e-6",),
                    "KL rises above 5 nats/element",
                    "rec does not improve within 2,000 steps",
                    "C2",
                ),
            ),
            RankedCause(
                "D3",
                "discriminator-too-weak",
                "Discriminator too weak",
                0.17,
                ("D103",),
                ("V101",),
                ("D103",),
                "Score blurred reconstructions with the discriminator.",
                NextStep("Warm the discriminator up.", ("--disc_lr 2e-4",), cause="D3"),
            ),
        ),
        "next": (
            NextStep(
                "Stop, and restart from the last checkpoint before step 1,000 with a smaller KL weight.",
                ("--kl_weight 1e-6", "--disc_start 20000"),
                "PSNR above 33 dB after 5,000 steps",
                "PSNR stays under 30 dB",
                "C2",
                "vaelab diagnose new.log --config kl_weight=1e-6",
            ),
            NextStep("Log the accuracy of the discriminator."),
        ),
        "skipped": (
            Skipped("L201", "dead-channels", ("latents_std",)),
            Skipped("L202", "latent-drift", ("latents_std",)),
            Skipped("E301", "validation-gap", ("val/rec_loss",)),
        ),
        "would_change": ("A PSNR on held-out clips that is better than step 0 would make this 'watch'.",),
        "questions": (QA("Is my rec_loss good?", "It is 33.6 dB; published 16-channel VAEs reach 35 to 37 dB."),),
        "positive": ("The loss identity closes.",),
        "expectations": ("No GAN change is ahead; expect the rec to stay where it is.",),
    }
    return Diagnosis(**{**fields, **overrides})


def hostile_diagnosis() -> Diagnosis:
    """Names, messages and values from a log that contain markup, terminal escapes, NaN and infinities."""
    run = make_run(200)
    columns = {**run.columns, HOSTILE: column(HOSTILE, np.linspace(1, 2, 200))}
    run = make_run(
        200,
        columns=columns,
        source=f"logs/{HOSTILE}\x1b[31m.log",
        events=(Event("resume", 1000, 50, HOSTILE),),
        config={"note": HOSTILE},
        notes=(ReadNote("foreign_lines", 1, HOSTILE),),
    )
    base = make_diagnosis(run)
    finding = Finding(
        "Z999",
        "hostile-name",
        "critical",
        HOSTILE,
        (HOSTILE,),
        0,
        100,
        (Evidence(HOSTILE, float("nan")), Evidence("inf", float("-inf"), HOSTILE)),
        explained_by="Z999",
    )
    verdict = MetricVerdict(
        HOSTILE, HOSTILE, "cannot-tell", float("nan"), float("inf"), None, None, None, "flat", text=HOSTILE
    )
    return make_diagnosis(
        run,
        headline=HOSTILE,
        metrics=(*base.metrics, verdict),
        findings=(finding, *base.findings),
        next=(NextStep(HOSTILE, (f"--flag '{HOSTILE}'",)),),
        questions=(QA(HOSTILE, HOSTILE),),
    )


def empty_diagnosis() -> Diagnosis:
    """A run with no rows at all."""
    run = Run("empty.csv", "csv", "unknown", 0.0, "", np.empty(0, np.int64), {})
    return make_diagnosis(
        run,
        status="cannot-tell",
        headline="The log holds no metrics.",
        confidence=0.0,
        confidence_text="no rows",
        phases=(),
        statements=(),
        metrics=(),
        findings=(),
        causes=(),
        next=(),
        skipped=(),
        would_change=(),
        questions=(),
        positive=(),
        expectations=(),
    )
