"""The log of ``vaelab train``: written here by a small simulator that obeys the trainer's algebra, then read and judged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab import dialects
from vaelab.config import TrainConfig
from vaelab.diagnosis import diagnose
from vaelab.facts import Facts, infer
from vaelab.readers import read, read_all
from vaelab.run import Run
from vaelab.training.run_log import console_line

LATENT = {"video": (8, 3, 8, 8), "image": (3, 1, 16, 16)}
PER_EPOCH = 50
VIDEO = {"frames": 9, "resolution": [64, 64], "channels": 3}
IMAGE = {"frames": 1, "resolution": [64, 64], "channels": 1}

SETTINGS: dict[str, dict[str, Any]] = {
    "pyramid-flow": {
        "data": VIDEO,
        "loss": {
            "pixel_loss": "mse", "pixelloss_weight": 10.0, "perceptual_weight": 1.0, "nll_reduction": "mean",
            "kl_reduction": "channel_mean", "kl_weight": 1e-6, "disc_weight": 0.5, "disc_start": 1500,
        },
    },
    "latent-diffusion": {
        "data": {**VIDEO, "frames": 1},
        "loss": {
            "pixel_loss": "l1", "perceptual_weight": 1.0, "nll_reduction": "sum", "kl_reduction": "sum",
            "kl_weight": 1e-6, "disc_weight": 0.5, "disc_start": 1500, "disc_warmup": 300,
        },
    },
    "radiodiff": {
        "data": IMAGE,
        "loss": {
            "pixel_loss": "l1+mse", "perceptual_weight": 0.7, "nll_reduction": "sum", "kl_reduction": "sum",
            "kl_weight": 1e-6, "disc_weight": 0.5, "disc_start": 1500, "disc_ramp": 200,
        },
    },
    "learned-logvar": {
        "data": VIDEO,
        "loss": {
            "pixel_loss": "charbonnier", "perceptual_weight": 1.0, "nll_reduction": "sum_per_frame",
            "kl_reduction": "sum_per_frame", "kl_weight": 1e-4, "logvar": "learned", "disc_start": 1500,
            "disc_loss": "non-saturating",
        },
    },
    "vae-only": {
        "data": VIDEO,
        "loss": {"pixel_loss": "l1", "kl_reduction": "mean", "kl_weight": 1e-4, "kl_warmup": 500, "disc": "none"},
    },
}  # fmt: skip


def config_of(name: str, **sections: Mapping[str, Any]) -> TrainConfig:
    base = SETTINGS[name]
    merged = {
        section: {**base.get(section, {}), **sections.get(section, {})}
        for section in ("model", "data", "loss", "optim", "run")
    }
    merged["optim"] = {"lr": 1e-4, "warmup_steps": 100, **merged["optim"]}
    merged["run"] = {"steps": 3000, **merged["run"]}
    return TrainConfig.model_validate(merged)


@dataclass
class Simulated:
    """Rows of one run. ``columns`` may be changed before ``write``."""

    config: TrainConfig
    latent: tuple[int, int, int, int]
    steps: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def rows(self) -> list[dict[str, float]]:
        return [
            {name: float(v[i]) for name, v in self.columns.items() if not math.isnan(v[i])}
            for i in range(len(self.steps))
        ]

    def write(self, folder: Path, events: list[dict[str, Any]] | None = None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "metrics.jsonl").open("w") as metrics, (folder / "console.log").open("w") as console:
            for step, row in zip(self.steps.tolist(), self.rows(), strict=True):
                epoch = step // PER_EPOCH
                metrics.write(json.dumps({"step": step, "epoch": epoch, "time": 1.7e9 + step, **row}) + "\n")
                console.write(console_line(step, epoch, row, PER_EPOCH) + "\n")
        (folder / "config.yaml").write_text(yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False))
        data = self.config.data
        derived = {
            "latent_shape": "x".join(map(str, self.latent)),
            "clip_shape": "x".join(map(str, (data.frames, *data.resolution))),
            "compression": "4x8x8",
            "input_channels": data.channels,
            "input_range": "-1,1",
            "iters_per_epoch": PER_EPOCH,
            "samples_per_step": 4,
            "parameters": 1000,
        }
        (folder / "derived.yaml").write_text(yaml.safe_dump(derived))
        if events is not None:
            (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        return folder


def simulate(config: TrainConfig, seed: int = 0, every: int = 10, rows: int | None = None) -> Simulated:
    """A healthy run: losses fall and level off, the KL rises at a tiny weight, the GAN start shakes the reconstruction."""
    rng = np.random.default_rng(seed)
    total, loss, optim = config.run.steps, config.loss, config.optim
    steps = np.arange(0, total, every)[:rows]
    n, t = len(steps), steps / total
    frames, (height, width) = config.data.frames, config.data.resolution
    latent = LATENT["image" if frames == 1 else "video"]
    c = dict[str, np.ndarray]()

    uses_gan = loss.disc != "none"
    on = uses_gan & (steps >= loss.disc_start)
    ramp = np.clip((steps - loss.disc_start + 1) / (loss.disc_ramp + 1), 0, 1)
    factor = np.where(on, loss.disc_factor * ramp, 0.0)
    since = np.where(on, t - loss.disc_start / total, 0.0)
    shake = (1 + 0.6 * on * np.exp(-25 * since)) * np.exp(rng.normal(0, 0.07, n))

    error = (0.02 + 0.5 * np.exp(-10 * t)) * shake  # of one value, Gaussian: mean |d| is 0.8 of its root mean square
    l1, mse = 0.8 * error, error**2
    rec = {"mse": mse, "l1": l1, "l1+mse": l1 + mse, "charbonnier": l1 + 1e-4}[loss.pixel_loss]
    perceptual = (0.06 + 0.5 * np.exp(-8 * t)) * shake * np.exp(rng.normal(0, 0.03, n))
    weighted = loss.pixelloss_weight * rec + loss.perceptual_weight * perceptual
    logvar = np.zeros(n)
    if loss.logvar == "learned":
        logvar = np.log(weighted.min() * 1.3) * (1 - np.exp(-6 * t))
        c["logvar"] = logvar
    one_frame = config.data.channels * height * width
    count = {"mean": 1, "sum": one_frame * frames, "sum_per_frame": one_frame}[loss.nll_reduction]
    nll = count * (weighted / np.exp(logvar) + logvar)
    nats = (1 + 4 * (1 - np.exp(-4 * t))) * np.exp(rng.normal(0, 0.02, n))
    channels, times, rest = latent[0], latent[1], latent[2] * latent[3]
    per = {"mean": 1, "sum": channels * times * rest, "sum_per_frame": channels * rest, "channel_mean": times * rest}
    kl = nats * per[loss.kl_reduction]
    kl_weight = loss.kl_weight * np.clip((steps + 1) / (loss.kl_warmup + 1), 0, 1)

    c |= {"rec_loss": rec, "rec_mse": mse, "nll_loss": nll, "perceptual_loss": perceptual}
    c |= {"kl_loss": kl, "kl_nats_per_element": nats, "latents_std": 1 + 0.2 * t, "latent_active_share": np.ones(n)}
    c["total_loss"] = nll + kl_weight * kl
    if uses_gan:
        skill = 0.45 * (1 - np.exp(-10 * np.clip((steps - loss.disc_start + loss.disc_warmup) / total, 0, 1)))
        real, fake = skill / 2 + rng.normal(0, 0.05, n), -skill / 2 + rng.normal(0, 0.05, n)
        alive = steps >= loss.disc_start - loss.disc_warmup
        patches = rng.normal(0, 0.5, (2, 64, n))
        patches -= patches.mean(axis=1, keepdims=True)
        if loss.disc_loss == "hinge":
            disc = 0.5 * (np.maximum(0, 1 - real - patches[0]) + np.maximum(0, 1 + fake + patches[1])).mean(axis=0)
        else:
            disc = 0.5 * (np.logaddexp(0, -real - patches[0]) + np.logaddexp(0, fake + patches[1])).mean(axis=0)
        g_loss = np.logaddexp(0, -fake) if loss.disc_loss == "non-saturating" else -fake
        ratio = {"mean": 1.0, "sum": 900.0, "sum_per_frame": 600.0}[loss.nll_reduction] * np.exp(rng.normal(0, 0.15, n))
        d_weight = loss.disc_weight * (ratio if loss.disc_weight_mode == "adaptive" else 1.0)
        hidden = np.full(n, np.nan)
        c["disc_factor"], c["d_weight"] = factor, np.where(on, d_weight, 0.0)
        c["g_loss"] = np.where(on, g_loss, hidden)
        c["g_loss_weighted"] = np.where(on, d_weight * factor * g_loss, hidden)
        c["d_weight_clamped"] = np.where(on, 0.0, hidden)
        c["disc_loss"] = np.where(alive, loss.disc_factor * disc, hidden)
        c["logits_real"], c["logits_fake"] = np.where(alive, real, hidden), np.where(alive, fake, hidden)
        c["disc_grad_norm"] = np.where(alive, 0.4 * np.exp(rng.normal(0, 0.2, n)), hidden)
        c["disc_lr"] = np.where(alive, optim.lr, hidden)
        c["total_loss"] = c["total_loss"] + np.where(on, d_weight * factor * g_loss, 0.0)
    norm = 0.6 * np.exp(rng.normal(0, 0.3, n))
    clip = optim.clip_grad or math.inf
    c |= {"grad_norm": norm, "clip_coefficient": np.minimum(1.0, clip / (norm + 1e-6))}
    c["clip_share"] = np.full(n, 0.05)
    c["lr"] = optim.lr * np.minimum(1.0, (steps + 1) / max(1, optim.warmup_steps))
    c["step_time"], c["data_time"] = np.full(n, 0.2), np.full(n, 0.01)
    validates = (np.arange(n) % 10 == 9) | (np.arange(n) == n - 1)
    held_out = {
        "rec_mse": 1.1 * mse, "psnr": 10 * np.log10(4 / (1.1 * mse)), "lpips": 1.05 * perceptual, "ssim": 0.9 - 0.2 * error,
        "explained_variance": 1 - 1.1 * mse / 0.3, "hf_ratio": 0.8 + 0.1 * t, "flickering": 0.5 * error,
        "colour_shift": 0.02 + 0 * t, "non_finite": 0 * t,
    }  # fmt: skip
    for name, values in held_out.items():
        c[f"val/{name}"] = np.where(validates, values, np.nan)
        c[f"val_ema/{name}"] = np.where(validates, values * (0.97 if name != "psnr" else 1.01), np.nan)
    # what torch logs: float32
    return Simulated(config, latent, steps, {k: v.astype(np.float32).astype(np.float64) for k, v in c.items()})


def facts_of(folder: Path) -> Facts:
    return infer(read(folder))


@pytest.fixture(params=list(SETTINGS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_one_run_read_from_its_metrics(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    folder = sim.write(tmp_path / "run", events=[{"step": 0, "time": 1.0, "event": "start"}])
    (folder / "discarded.jsonl").write_text(json.dumps({"step": 5, "rec_mse": 9.0, "clip_coefficient": 1.0}) + "\n")
    (folder / "report").mkdir()
    (folder / "report" / "data.csv").write_text("step,rec_loss\n1,2\n2,3\n")
    (run,) = read_all(folder)
    assert (run.trainer, run.format, run.trainer_confidence) == ("vaelab", "vaelab_run", 1.0)
    assert run.steps.tolist() == sim.steps.tolist()
    assert "time" not in run and run.smoothing["step_time"].kind == "none"
    assert all(run.smoothing[m].kind == "none" and run.decimals[m] is None for m in run)
    assert run["rec_mse"].tolist() == sim.columns["rec_mse"].tolist()
    assert any("console.log" in note.text for note in run.notes if note.kind == "left_aside")


def test_settings_and_derived_values_are_declared(tmp_path: Path) -> None:
    run = read(simulate(config_of("radiodiff")).write(tmp_path))
    wanted = {
        "total_steps": 3000, "kl_weight": 1e-6, "pixel_loss": "l1+mse", "nll_reduction": "sum", "kl_reduction": "sum",
        "disc_start": 1500, "disc_ramp": 200, "disc_weight": 0.5, "lr": 1e-4, "clip_grad": 1.0, "warmup_steps": 100,
        "batch_size": 4, "input_channels": 1, "latent_shape": "3x1x16x16", "clip_shape": "1x64x64", "learn_logvar": False,
        "iters_per_epoch": PER_EPOCH, "input_range": "-1,1",
    }  # fmt: skip
    assert {key: run.config.get(key) for key in wanted} == wanted
    assert "resolution" not in run.config


def test_metrics_alone_take_the_config_beside_them(tmp_path: Path) -> None:
    folder = simulate(config_of("latent-diffusion")).write(tmp_path)
    run = read(folder / "metrics.jsonl")
    assert run.trainer == "vaelab" and run.config["total_steps"] == 3000 and run.config["latent_shape"] == "3x1x16x16"


def test_without_a_discriminator_no_gan_is_planned(tmp_path: Path) -> None:
    found = facts_of(simulate(config_of("vae-only")).write(tmp_path))
    assert not any(key.startswith("disc_") for key in found.run.config)
    assert found.phases.gan.state == "absent" and found.phases.gan.planned_step is None


def test_free_arguments_of_a_model_class_are_no_settings() -> None:
    config = TrainConfig.model_validate(
        {
            "model": {"config": {"latent_channels": 4, "resolution": 99, "dataset": "x", "lr": 7}},
            "data": {"options": {"batch_size": 9}},
        }
    )
    declared = dialects.canonical_config(config.model_dump(mode="json"))
    assert declared["latent_channels"] == 4 and declared["lr"] == config.optim.lr
    assert declared["batch_size"] == config.run.batch_size and "dataset" not in declared


def test_events_become_events_of_the_run(tmp_path: Path) -> None:
    events = [
        {"step": 0, "time": 1.0, "event": "start", "world": 1},
        {"step": 100, "time": 1.0, "event": "checkpoint", "path": "checkpoints/100"},
        {"step": 120, "time": 1.0, "event": "quarantined", "file": "a.mp4", "reason": "no frames"},
        {"step": 130, "time": 1.0, "event": "non_finite", "at": 129, "batch": ["b.mp4"], "in_a_row": 1},
        {"step": 150, "time": 1.0, "event": "resume"},
        {"step": 200, "time": 1.0, "event": "diagnosis", "status": "watch", "headline": "x", "cause": None},
        {"step": 200, "time": 1.0, "event": "rollback", "came_from": 300, "cause": "E1", "change": "optim.lr 1 -> 0.5"},
        {"step": 3000, "time": 1.0, "event": "finished"},
    ]
    folder = simulate(config_of("pyramid-flow")).write(tmp_path, events)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"step": 3001, "ev')
    run = read(folder)
    kinds = [event.kind for event in run.events]
    assert kinds == ["checkpoint", "data_error", "note", "resume", "note", "note", "finished"]
    assert [e.step for e in run.events][:2] == [100, 120]
    assert infer(run).phases.resumes == (150,)
    assert {n.kind: n.count for n in run.notes}["data_errors"] == 1
    found = {f.code: f for f in diagnose(run).findings}
    assert "first at step 120" in found["DAT702"].message and "NUM502" not in found


def test_a_run_stopped_by_non_finite_steps_says_so(tmp_path: Path) -> None:
    events = [{"step": s, "event": "non_finite", "at": s, "batch": ["b"], "in_a_row": 1} for s in range(3)]
    events.append({"step": 3, "event": "stopped", "text": "10 steps in a row had gradients that are not finite"})
    run = read(simulate(config_of("pyramid-flow")).write(tmp_path, events))
    assert [e.kind for e in run.events] == ["note", "note", "note", "non_finite_stop"]
    events = [{"step": 3, "event": "stopped", "text": "Stopped by the diagnosis."}]
    run = read(simulate(config_of("pyramid-flow")).write(tmp_path / "other", events))
    assert [e.kind for e in run.events] == ["note"]


def test_events_alone_are_no_log(tmp_path: Path) -> None:
    folder = simulate(config_of("pyramid-flow")).write(
        tmp_path / "run", [{"step": 1, "time": 2.0, "event": "checkpoint"}]
    )
    (folder / "metrics.jsonl").unlink()
    (run,) = read_all(folder)
    assert run.format == "vaelab_console"


def test_the_console_holds_values_of_single_steps(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    run = read(sim.write(tmp_path) / "console.log")
    assert (run.trainer, run.format) == ("vaelab", "vaelab_console")
    assert run.steps.tolist() == sim.steps.tolist()
    assert run.smoothing["rec_loss"].kind == "none"
    np.testing.assert_allclose(run["rec_loss"], sim.columns["rec_loss"], rtol=6e-6)
    found = infer(run)
    assert found.algebra.identities and all(i.status == "closes" for i in found.algebra.identities), found.algebra
    if sim.config.loss.disc != "none":
        assert (found.phases.gan.state, found.phases.gan.start_step) == ("active", 1500)


def test_a_console_that_is_still_written_and_was_resumed(tmp_path: Path) -> None:
    sim = simulate(config_of("pyramid-flow"), rows=100)
    lines = (sim.write(tmp_path / "a") / "console.log").read_text().splitlines()
    text = "\n".join([*lines, "Traceback (most recent call last):", *lines[60:], lines[0][:80]])
    path = tmp_path / "console.log"
    path.write_text(text)
    run = read(path)
    assert run.steps.tolist() == sim.steps.tolist()
    assert [e.kind for e in run.events] == ["resume"]
    assert {n.kind for n in run.notes} == {"foreign_lines", "backward_steps"}


def test_tensorboard_alone_is_recognised(tmp_path: Path, name: str) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    sim = simulate(config_of(name), every=30)
    folder = sim.write(tmp_path)
    writer = tensorboard.SummaryWriter(str(folder / "tensorboard"))
    for step, row in zip(sim.steps.tolist(), sim.rows(), strict=True):
        for metric, value in row.items():
            writer.add_scalar(metric, value, step)
    writer.close()
    run = read(folder / "tensorboard")
    assert (run.trainer, run.format) == ("vaelab", "tensorboard")
    assert run.config["total_steps"] == 3000  # of the folder above
    assert all(i.status == "closes" for i in infer(run).algebra.identities)
    assert read(folder).format == "vaelab_run"


@pytest.mark.parametrize("columns", [{"rec_mse", "clip_coefficient", "nll_loss"}, {"kl_nats_per_element", "rec_loss"}])
def test_recognised_by_its_columns(columns: set[str]) -> None:
    assert dialects.detect(sorted(columns), "csv", {})[0] == "vaelab"


def test_other_trainers_keep_their_conventions() -> None:
    for known in dialects.DIALECTS.values():
        if known.id not in ("vaelab", "unknown"):
            assert dialects.conventions(known.id, {"pixel_loss": "mse", "d_weight_max": 5.0}) is known
    assert dialects.conventions("nobody", {}) == dialects.DIALECTS["unknown"]


def test_a_loop_of_ones_own_may_declare_its_conventions() -> None:
    declared = dialects.conventions("unknown", {"kl_reduction": "mean", "pixel_loss": "mse"})
    assert (declared.id, declared.kl_reduction, declared.rec_kind) == ("unknown", "mean", "mse")


def test_every_option_is_one_of_the_command_line() -> None:
    from vaelab.config.options import OPTIONS

    for key, spelling in dialects.DIALECTS["vaelab"].options.items():
        assert spelling.partition("=")[0] in OPTIONS, key


# --- what is known of it -----------------------------------------------------------------------------------------------


def test_psnr_is_that_of_the_squared_error(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    found = facts_of(sim.write(tmp_path))
    late = float(np.median(sim.columns["rec_mse"][-30:]))
    assert found.scales.psnr_exact
    assert found.scales.psnr(late) == pytest.approx(10 * math.log10(4 / late))
    fact = next(f for f in found.statements if f.name == "psnr")
    assert fact.standing == "known" and fact.value == pytest.approx(10 * math.log10(4 / late), abs=0.01)
    verdicts = {v.metric: v for v in diagnose(found.run).metrics}
    for metric in (found.scales.error, "val/rec_mse") if found.scales.error == "rec_mse" else ("rec_loss",):
        assert verdicts[metric].natural_name == "PSNR" and verdicts[metric].natural_unit == "dB"
    assert verdicts["val/psnr"].status == "good" and verdicts["val_ema/lpips"].status == "good"


def test_nats_per_element_are_the_logged_ones(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    scales = facts_of(sim.write(tmp_path)).scales
    nats, kl = sim.columns["kl_nats_per_element"][-1], sim.columns["kl_loss"][-1]
    assert scales.nats_per_element(kl) == pytest.approx(nats, rel=1e-5)
    assert scales.latent is not None and scales.latent.shape == sim.latent
    late = np.median(sim.columns["kl_nats_per_element"][-30:])
    assert scales.kl_nats_total == pytest.approx(late * math.prod(sim.latent), rel=1e-5)


def test_nats_follow_from_the_reduction_without_the_column(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    nats, kl = sim.columns.pop("kl_nats_per_element")[-1], sim.columns["kl_loss"][-1]
    assert facts_of(sim.write(tmp_path)).scales.nats_per_element(kl) == pytest.approx(nats, rel=1e-5)


def test_the_loss_adds_up(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    found = facts_of(sim.write(tmp_path))
    loss, algebra = sim.config.loss, found.algebra
    names = {i.name for i in algebra.identities}
    # a KL term below the last digit of the sum has no identity of its own
    hidden = {"total-before-gan"} if name == "latent-diffusion" else set()
    assert names == {"nll", "total-before-gan", "total-with-gan"} - hidden - (
        {"total-with-gan"} if loss.disc == "none" else set()
    )
    for identity in algebra.identities:
        assert identity.status == "closes" and identity.residual is not None and identity.residual < 2e-6, identity
    for key, truth in (("pixelloss_weight", loss.pixelloss_weight), ("perceptual_weight", loss.perceptual_weight)):
        assert algebra.value(key) == truth
    solved = algebra.solved["kl_weight"]
    assert solved.status == "closes" and solved.value == loss.kl_weight
    assert not any(s.contradicts_declared for s in algebra.solved.values())


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["pyramid-flow", "latent-diffusion", "radiodiff", "learned-logvar"]),
    st.floats(-1, 1.5).map(lambda e: 10.0**e),
    st.floats(-1, 0.5).map(lambda e: 10.0**e),
    st.floats(-7, -2).map(lambda e: 10.0**e),
    st.integers(0, 1000),
    st.integers(0, 2000),
)
def test_weights_solved_from_the_columns_contain_the_truth(
    tmp_path_factory: pytest.TempPathFactory, name: str, w: float, p: float, beta: float, seed: int, warmup: int
) -> None:
    loss = {"pixelloss_weight": w, "perceptual_weight": p, "kl_weight": beta, "kl_warmup": warmup}
    sim = simulate(config_of(name, loss=loss), seed, every=30)
    algebra = facts_of(sim.write(tmp_path_factory.mktemp("run"))).algebra
    for key, truth in (("pixelloss_weight", w), ("perceptual_weight", p), ("kl_weight", beta)):
        found = algebra.solved.get(key)
        assert found is None or found.low is None or found.status != "closes" or found.high is None or (
            found.low * (1 - 1e-6) <= truth <= found.high * (1 + 1e-6)
        ), found  # fmt: skip
    assert all(i.status == "closes" for i in algebra.identities), algebra.identities


def test_a_weight_that_is_not_the_declared_one_is_found(tmp_path: Path) -> None:
    sim = simulate(config_of("radiodiff"))
    folder = sim.write(tmp_path)
    text = (folder / "config.yaml").read_text().replace("perceptual_weight: 0.7", "perceptual_weight: 2.0")
    (folder / "config.yaml").write_text(text)
    codes = {f.code for f in diagnose(read(folder)).findings}
    assert codes & {"SCH601", "ALG901"}


def test_wrong_sums_do_not_close(tmp_path: Path, name: str) -> None:
    sim = simulate(config_of(name))
    sim.columns["nll_loss"] = sim.columns["nll_loss"] * np.linspace(1, 1.5, len(sim.steps))
    found = facts_of(sim.write(tmp_path))
    assert any(s.status == "does-not-close" for s in found.algebra.solved.values()) or any(
        i.status == "does-not-close" for i in found.algebra.identities
    )


def test_clips_and_images_in_turn_have_no_one_sum(tmp_path: Path) -> None:
    config = config_of("learned-logvar", data={"image_share": 0.3}, loss={"nll_reduction": "sum"})
    found = facts_of(simulate(config).write(tmp_path))
    assert not any(i.name == "nll" for i in found.algebra.identities)
    assert not any(i.status == "does-not-close" for i in found.algebra.identities)


def test_effective_beta_in_the_unit_of_latent_diffusion(tmp_path: Path) -> None:
    beta = facts_of(simulate(config_of("latent-diffusion")).write(tmp_path / "a")).scales.effective_beta
    assert beta == pytest.approx(1e-6)
    # the same objective with both terms divided by the values of a sample
    size, elements = 3 * 64 * 64, 3 * 16 * 16
    loss = {"nll_reduction": "mean", "kl_reduction": "mean", "kl_weight": 1e-6 * elements / size}
    again = facts_of(simulate(config_of("latent-diffusion", loss=loss)).write(tmp_path / "b")).scales.effective_beta
    assert again == pytest.approx(1e-6)
    pyramid = facts_of(simulate(config_of("pyramid-flow")).write(tmp_path / "c")).scales.effective_beta
    assert pyramid == pytest.approx(1e-6 * (3 * 9 * 64 * 64) / (8 * 10))


def test_progress_counts_the_runs_own_steps(tmp_path: Path) -> None:
    progress = facts_of(simulate(config_of("pyramid-flow"), rows=60).write(tmp_path)).progress
    assert (progress.planned, progress.step) == (3000, 590)
    assert progress.milestone == ("GAN start", 1500)


def test_the_discriminators_warm_up_is_no_gan_start(tmp_path: Path) -> None:
    config = config_of("latent-diffusion")
    before = facts_of(simulate(config, rows=140).write(tmp_path / "before"))
    assert before.phases.gan.state == "scheduled" and before.adversary is None
    assert [p.kind for p in before.phases.phases] == ["warm-up", "vae-only", "disc-warm-up"]
    whole = facts_of(simulate(config).write(tmp_path / "whole"))
    gan = whole.phases.gan
    assert (gan.state, gan.start_step, gan.disc_row) == ("active", 1500, 120)
    kinds = [p.kind for p in whole.phases.phases]
    assert kinds[:3] == ["warm-up", "vae-only", "disc-warm-up"] and kinds[3] in ("gan-start", "gan")
    found = whole.phases.of("disc-warm-up")
    assert found is not None and (found.first_step, found.last_step) == (1200, 1490)


def test_discriminator_loss_and_its_chance_level(tmp_path: Path) -> None:
    for name, family, chance in (("pyramid-flow", "hinge", 1.0), ("learned-logvar", "vanilla", math.log(2))):
        adversary = facts_of(simulate(config_of(name)).write(tmp_path / name)).adversary
        assert adversary is not None and (adversary.family, adversary.chance) == (family, pytest.approx(chance))
    config = config_of("pyramid-flow", loss={"disc_factor": 0.5})
    adversary = facts_of(simulate(config).write(tmp_path / "half")).adversary
    assert adversary is not None and adversary.chance == pytest.approx(0.5)


def test_the_clamp_is_read_from_its_flag(tmp_path: Path) -> None:
    sim = simulate(config_of("pyramid-flow"))
    flags = sim.columns["d_weight_clamped"]
    flags[np.flatnonzero(~np.isnan(flags))[::2]] = 1.0
    adversary = facts_of(sim.write(tmp_path)).adversary
    assert adversary is not None and adversary.at_clamp == pytest.approx(0.5, abs=0.01)
    assert "ADV310" in {f.code for f in diagnose(read(tmp_path)).findings}


def test_a_fixed_weight_says_nothing_of_gradients(tmp_path: Path) -> None:
    config = config_of("latent-diffusion", loss={"disc_weight_mode": "fixed", "disc_weight": 800.0})
    sim = simulate(config)
    del sim.columns["d_weight_clamped"]
    found = facts_of(sim.write(tmp_path))
    assert found.adversary is not None and found.adversary.raw_ratio is None and found.adversary.at_clamp is None
    assert found.algebra.solved["disc_weight"].value == 800.0
    assert all(i.status == "closes" for i in found.algebra.identities)
    assert "ADV309" not in {f.code for f in diagnose(found.run).findings}


def test_clipping_is_that_of_all_steps(tmp_path: Path) -> None:
    sim = simulate(config_of("pyramid-flow"))
    sim.columns["clip_share"] = np.full(len(sim.steps), 0.8)
    sim.columns["clip_coefficient"] = np.where(np.arange(len(sim.steps)) % 2, 0.25, 1.0)
    found = facts_of(sim.write(tmp_path))
    assert found.optimiser.clipped == pytest.approx(0.8) and found.optimiser.cut == pytest.approx((0.25, 0.25))
    clip = next(f for f in found.statements if f.name == "clip")
    assert "80% of the steps are scaled" in clip.text


def test_origin_is_what_the_settings_say(tmp_path: Path) -> None:
    fresh = simulate(config_of("pyramid-flow"))
    fresh.columns["rec_mse"] *= 0.01  # dark data: low from the first step
    fresh.columns["rec_loss"] = fresh.columns["rec_mse"]
    assert facts_of(fresh.write(tmp_path / "a")).phases.origin == "scratch"
    tuned = simulate(config_of("pyramid-flow", model={"pretrained": "somewhere"}))
    assert facts_of(tuned.write(tmp_path / "b")).phases.origin == "pretrained"


def test_without_any_config_what_the_columns_say_is_used(tmp_path: Path) -> None:
    folder = simulate(config_of("latent-diffusion")).write(tmp_path)
    (folder / "config.yaml").unlink()
    (folder / "derived.yaml").unlink()
    found = facts_of(folder)
    assert found.scales.psnr_exact and found.scales.nats is not None
    assert found.phases.gan.start_step == 1500
    assert not any(i.status == "does-not-close" for i in found.algebra.identities)
    assert diagnose(found.run).status in ("healthy", "watch")


# --- judging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rows", [None, 170, 60])
def test_a_healthy_run_is_left_alone(tmp_path: Path, name: str, seed: int, rows: int | None) -> None:
    found = diagnose(read(simulate(config_of(name), seed, rows=rows).write(tmp_path)))
    assert found.status in ("healthy", "watch"), (found.headline, [(f.code, f.message) for f in found.findings])
    assert not {"ALG901", "SCH601", "SCH602"} & {f.code for f in found.findings}


def flat(sim: Simulated) -> Simulated:
    """Nothing but the mean colour is learned: every error stands still."""
    rng = np.random.default_rng(1)
    n = len(sim.steps)
    wobble = np.exp(rng.normal(0, 0.05, n))
    for metric in ("rec_loss", "rec_mse", "perceptual_loss", "nll_loss", "total_loss"):
        sim.columns[metric] = 0.3 * wobble
    sim.columns["rec_loss"][:3] = 0.9
    return sim


def codes(folder: Path) -> set[str]:
    return {f.code for f in diagnose(read(folder)).findings}


def test_no_learning_is_believed_unless_held_out_skill_says_otherwise(tmp_path: Path) -> None:
    sim = flat(simulate(config_of("vae-only")))
    known = ~np.isnan(sim.columns["val/explained_variance"])
    for prefix in ("val", "val_ema"):
        sim.columns[f"{prefix}/explained_variance"][known] = 0.02
    assert "MET1009" in codes(sim.write(tmp_path / "a"))
    sim.columns["val/explained_variance"][known] = 0.9
    assert "MET1009" not in codes(sim.write(tmp_path / "b"))


def test_overfitting_is_seen_in_the_squared_error(tmp_path: Path) -> None:
    sim = simulate(config_of("vae-only"))
    assert "REC115" not in codes(sim.write(tmp_path / "a"))
    sim.columns["val/rec_mse"] *= np.linspace(1, 60, len(sim.steps))
    assert "REC115" not in codes(sim.write(tmp_path / "only-the-raw-weights"))
    sim.columns["rec_mse"] *= np.linspace(1, 0.5, len(sim.steps))
    sim.columns["val_ema/rec_mse"] *= np.linspace(1, 60, len(sim.steps))
    found = next(f for f in diagnose(read(sim.write(tmp_path / "b"))).findings if f.code == "REC115")
    assert found.metrics == ("val/rec_mse", "rec_mse")


def test_an_average_that_lags_is_seen_in_the_squared_error(tmp_path: Path) -> None:
    sim = simulate(config_of("vae-only"))
    sim.columns["val_ema/rec_mse"] = sim.columns["val/rec_mse"] * 3
    assert "REC114" in codes(sim.write(tmp_path))


def test_broken_held_out_reconstructions_are_critical(tmp_path: Path) -> None:
    sim = simulate(config_of("vae-only"))
    last = np.flatnonzero(~np.isnan(sim.columns["val/non_finite"]))[-1]
    sim.columns["val/non_finite"][last] = 4
    found = diagnose(read(sim.write(tmp_path)))
    assert found.status == "stop" and any("4 held-out samples" in f.message for f in found.findings)


def test_fixes_are_spelled_as_on_the_command_line(tmp_path: Path) -> None:
    sim = simulate(config_of("vae-only", optim={"lr": 0.05}))
    sim.columns["lr"] = 0.05 * np.minimum(1, (sim.steps + 1) / 100)
    for metric in ("rec_loss", "rec_mse", "nll_loss", "total_loss", "perceptual_loss"):
        sim.columns[metric] = sim.columns[metric][0] * np.exp(np.linspace(0, 3, len(sim.steps)))
    found = diagnose(read(sim.write(tmp_path)))
    assert found.status in ("act", "stop")
    patch = [line for step in found.next for line in step.patch]
    assert any(line.startswith("optim.lr=") for line in patch), found.next


def test_a_run_is_read_back_as_it_was_read(tmp_path: Path) -> None:
    folder = simulate(config_of("pyramid-flow")).write(tmp_path)
    one, two = read(folder), read(folder / "metrics.jsonl")
    assert isinstance(one, Run) and one.columns.keys() == two.columns.keys() and one.config == two.config
