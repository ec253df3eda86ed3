"""Symptoms of known faults, each in the log format of a trainer that shows it -> what vaelab says of it.

The rows are those of the table of symptoms that a study of public trainers gave.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import vaelab
from dialect_logs import RD_CONFIG, ROWS, Curves, curves, vidtok_tensorboard, write_csv, write_events
from vaelab.causes import CAUSES
from vaelab.diagnosis import Diagnosis

Array = npt.NDArray[np.float64]
Change = Callable[[dict[str, Array], Curves], None]


def diagnose(path: Path, **config: Any) -> Diagnosis:
    return vaelab.diagnose(vaelab.read(path).with_config(config))


def found(diagnosis: Diagnosis) -> dict[str, str]:
    """Code -> severity."""
    return {f.code: f.severity for f in diagnosis.findings}


def message(diagnosis: Diagnosis, code: str) -> str:
    return next(f.message for f in diagnosis.findings if f.code == code)


def said(diagnosis: Diagnosis, name: str) -> str:
    return next(s.text for s in diagnosis.statements if s.name == name)


# --- minimal logs ---------------------------------------------------------------------------------------------------------


def pyramid_flow(
    folder: Path, change: Change | None = None, gan_row: int = ROWS // 2, namespace: str = "", extra: str = ""
) -> Path:
    """Console lines every 20 iterations; no discriminator columns if ``gan_row`` is the last one."""
    c = curves(gan_row=gan_row)
    on = c.on.astype(float)
    columns = {"rec_loss": c.mse, "perception_loss": c.p, "nll_loss": 10 * c.mse + c.p, "kl_loss": c.nats * 3072,
               "d_weight": on * 0.5 * c.ratio, "disc_factor": on, "g_loss": on * c.g, "grad_norm": 0.6 * c.ratio,
               "loss_scale": np.ones(ROWS)}  # fmt: skip
    columns |= {k: np.where(c.on, v, np.nan) for k, v in
                {"disc_loss": c.hinge, "logits_real": c.real, "logits_fake": c.fake}.items()}  # fmt: skip
    if change:
        change(columns, c)
    total = columns["nll_loss"] + 1e-12 * columns["kl_loss"] + columns["d_weight"] * on * columns["g_loss"]
    text = f"{namespace}\n{extra}" if namespace or extra else ""
    for i in range(ROWS):
        items = {"vae_loss": total[i]} | {k: v[i] for k, v in columns.items() if not np.isnan(v[i])}
        meters = "  ".join(f"{k}: {v:.4f} ({v:.4f})" for k, v in items.items())
        text += (
            f"Epoch: [{i // 40}]  [{i % 40 * 20:>3}/800]  eta: 0:01:10  lr: 0.000100  {meters}  time: 0.4  data: 0.0\n"
        )
    path = folder / "train.log"
    path.write_text(text)
    return path


def radiodiff(folder: Path, change: Change | None = None, gan_row: int = ROWS // 2, config: Any = RD_CONFIG) -> Path:
    c = curves(gan_row=gan_row)
    on = c.on.astype(float)
    rec = c.l1 + c.mse + c.p
    columns = {"logvar": np.zeros(ROWS), "kl_loss": c.nats * 12288, "nll_loss": 65536 * rec, "rec_loss": rec,
               "d_weight": 450 * c.ratio, "disc_factor": on, "g_loss": c.g, "disc_loss": c.hinge * on,
               "logits_real": c.real, "logits_fake": c.fake, "lr": np.full(ROWS, 5e-6)}  # fmt: skip
    columns["total_loss"] = columns["nll_loss"] + 1e-6 * columns["kl_loss"]
    if change:
        change(columns, c)
    text = f"{config}\n"
    names = ["total_loss", "logvar", "kl_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss"]
    for i in range(ROWS):
        head = f"[Train Step] {(i + 1) * 50}/8000: "
        for group in (names, ["disc_loss", "logits_real", "logits_fake"]):
            text += (
                head + "".join(f"train/{k}: {columns[k][i]:.5f}, " for k in group) + f"lr: {columns['lr'][i]:.5f}, \n"
            )
    path = folder / "run_.log"
    path.write_text(text)
    return path


def ldm(folder: Path, change: Change | None = None, gan_row: int = ROWS // 2, logvar: float = 0.0) -> Path:
    """metrics.csv of latent-diffusion; with ``logvar`` a learned one that falls to that value."""
    c = curves(gan_row=gan_row)
    on, rec = c.on.astype(float), c.l1 + c.p
    learned = logvar * (1 - np.exp(-5 * c.t))
    nll = 196608 * (rec / np.exp(learned) + learned)
    columns = {"logvar": learned, "kl_loss": c.nats * 4096, "nll_loss": nll, "rec_loss": rec, "d_weight": 1500 * c.ratio,
               "disc_factor": on, "g_loss": c.g, "disc_loss": c.hinge * on, "logits_real": c.real, "logits_fake": c.fake}  # fmt: skip
    columns["total_loss"] = nll + 1e-6 * columns["kl_loss"] + on * columns["d_weight"] * c.g
    if change:
        change(columns, c)
    rows = [{"epoch": i // 40, "step": 50 * i + 49, "aeloss_step": float(columns["total_loss"][i])}
            | {f"train/{k}": float(v[i]) for k, v in columns.items()} for i in range(ROWS)]  # fmt: skip
    return write_csv(folder / "metrics.csv", rows)


# --- rows of the table ----------------------------------------------------------------------------------------------------


def test_disc_loss_0_to_the_end_with_disc_start_beyond_the_plan(tmp_path: Path) -> None:
    path = radiodiff(tmp_path, gan_row=ROWS, config={**RD_CONFIG, "model": {"lossconfig": {"disc_start": 50001}}})
    diagnosis = diagnose(path)
    assert diagnosis.facts.phases.gan.state == "never"
    assert found(diagnosis)["ADV301"] == "warn" and diagnosis.causes[0].id == "D1"


def test_no_disc_loss_although_disc_start_has_passed(tmp_path: Path) -> None:
    path = pyramid_flow(tmp_path, gan_row=ROWS, namespace="Namespace(disc_start=1000, kl_weight=1e-12)")
    diagnosis = diagnose(path)
    assert found(diagnosis)["ADV301"] == "warn" and "not built" in message(diagnosis, "ADV301")
    assert diagnosis.causes[0].id == "D1"
    reader_of_few_columns = write_csv(
        tmp_path / "few.csv", [{"step": i, "rec_loss": 0.1, "kl_loss": 5.0} for i in range(60)]
    )
    assert "not logged" in message(diagnose(reader_of_few_columns, disc_start=10), "ADV301")


def test_d_weight_at_its_clamp(tmp_path: Path) -> None:
    def dead(columns: dict[str, Array], c: Curves) -> None:
        columns["d_weight"] = np.where(c.on, 5000.0, columns["d_weight"])

    diagnosis = diagnose(radiodiff(tmp_path, dead))
    assert diagnosis.facts.algebra.solved["disc_weight"].value == 0.5
    assert diagnosis.facts.algebra.solved["disc_weight"].how == "clamp"
    assert "weak discriminator" in message(diagnosis, "ADV310")
    assert "5,000" in said(diagnosis, "d_weight")


def test_disc_loss_1_with_both_logits_at_0(tmp_path: Path) -> None:
    def idle(columns: dict[str, Array], c: Curves) -> None:
        columns["logits_real"], columns["logits_fake"] = 0.02 * (c.ratio - 1), -0.02 * (c.ratio - 1)
        columns["disc_loss"] = c.on * (1 + 0.002 * (c.ratio - 1))

    diagnosis = diagnose(ldm(tmp_path, idle))
    assert found(diagnosis)["ADV303"] == "warn" and diagnosis.causes[0].id == "D3"


def test_disc_loss_to_0_with_a_growing_gap(tmp_path: Path) -> None:
    def wins(columns: dict[str, Array], c: Curves) -> None:
        size = np.where(c.on, 0.3 + 8 * (c.t - 0.5), 0.0)
        columns["logits_real"], columns["logits_fake"] = size, -size
        columns["disc_loss"] = c.on * np.maximum(0.003, 1 - size)

    diagnosis = diagnose(ldm(tmp_path, wins))
    assert found(diagnosis)["ADV305"] == "critical" and diagnosis.causes[0].id == "D4"


def test_rec_loss_steps_up_at_the_gan_start(tmp_path: Path) -> None:
    def shock(lasting: float) -> Change:
        def change(columns: dict[str, Array], c: Curves) -> None:
            factor = 1 + c.on * (lasting - 1 + 1.5 * np.exp(-60 * (c.t - 0.5)))
            columns["rec_loss"] = columns["rec_loss"] * factor
            columns["nll_loss"] = columns["nll_loss"] * factor

        return change

    passing, lasting = tmp_path / "passing", tmp_path / "lasting"
    passing.mkdir(), lasting.mkdir()
    expected = diagnose(ldm(passing, shock(1.0)))
    assert found(expected)["ADV306"] == "info" and "ADV307" not in found(expected)
    damage = diagnose(ldm(lasting, shock(2.8)))
    assert "ADV307" in found(damage) and damage.status in ("act", "stop", "watch")


def test_nll_over_rec_contradicts_the_declared_resolution(tmp_path: Path) -> None:
    path = ldm(tmp_path)
    diagnosis = diagnose(path, resolution=512)
    assert diagnosis.facts.algebra.solved["n_pixels"].value == 196608
    assert found(diagnosis)["SCH601"] == "warn"
    assert "512" in message(diagnosis, "SCH601") and "196,608" in message(diagnosis, "SCH601")
    assert {c.id for c in diagnosis.causes} & {"G3", "E7"}
    assert "SCH601" not in found(diagnose(path, resolution=256))


def test_radiodiffs_own_resolution_320_is_told_without_alarm(tmp_path: Path) -> None:
    diagnosis = diagnose(radiodiff(tmp_path), resolution=320, input_channels=1)
    assert found(diagnosis)["SCH601"] == "info" and "65,536" in message(diagnosis, "SCH601")


def test_a_total_that_does_not_close_is_said(tmp_path: Path) -> None:
    def missing_term(columns: dict[str, Array], c: Curves) -> None:
        columns["total_loss"] = columns["total_loss"] + 5000 * c.ratio

    diagnosis = diagnose(ldm(tmp_path, missing_term))
    assert found(diagnosis)["ALG901"] == "critical"
    assert diagnosis.facts.algebra.solved["kl_weight"].status == "does-not-close"


def test_a_kl_that_grows_at_a_tiny_weight_is_no_warning(tmp_path: Path) -> None:
    def grows(columns: dict[str, Array], c: Curves) -> None:
        columns["kl_loss"] = 4000 * (1 + 6 * c.t) * c.ratio**0.1

    diagnosis = diagnose(ldm(tmp_path, grows))
    assert not {code for code in found(diagnosis) if code.startswith("KL")}
    assert diagnosis.status in ("healthy", "watch")


def test_a_kl_that_goes_to_0_is_collapse(tmp_path: Path) -> None:
    def collapses(columns: dict[str, Array], c: Curves) -> None:
        columns["kl_loss"] = 0.5 + 16000 * np.exp(-40 * c.t)
        columns["rec_loss"] = 0.35 * c.ratio**0.3
        columns["nll_loss"] = 196608 * columns["rec_loss"]
        columns["total_loss"] = columns["nll_loss"] + columns["kl_loss"]

    diagnosis = diagnose(ldm(tmp_path, collapses), latent_shape=[4, 32, 32])
    assert found(diagnosis)["KL201"] == "critical"
    assert diagnosis.status == "stop" and diagnosis.causes[0].id in ("C1", "C2")


def test_a_negative_nll_of_a_learned_logvar_is_explained(tmp_path: Path) -> None:
    diagnosis = diagnose(ldm(tmp_path, logvar=-1.7), kl_weight=1e-6)
    assert diagnosis.run["nll_loss"][-1] < 0
    assert "no fault" in said(diagnosis, "learned_logvar")
    assert diagnosis.status == "healthy", diagnosis.headline
    assert diagnosis.facts.algebra.value("n_pixels") == 196608
    folder = tmp_path / "vidtok"
    folder.mkdir()
    video = diagnose(vidtok_tensorboard(folder).path)
    assert "learned logvar" in said(video, "negative_total") and "no fault" in said(video, "learned_logvar")


def test_a_learning_rate_that_prints_as_0_is_rounding(tmp_path: Path) -> None:
    def tiny(columns: dict[str, Array], c: Curves) -> None:
        columns["lr"] = np.full(ROWS, 4e-6)

    diagnosis = diagnose(radiodiff(tmp_path, tiny))
    assert diagnosis.run["lr"][-1] == 0
    assert "cannot be read" in said(diagnosis, "lr") and "OPT407" not in found(diagnosis)
    assert "5e-06" in said(diagnosis, "lr")


def test_a_learning_rate_of_exactly_0_is_a_scheduler_that_is_never_stepped(tmp_path: Path) -> None:
    c = curves()
    tags = {"train/reconstruct_loss_step": c.l1, "train/perceptual_loss_step": c.p, "train/nll_loss_step": c.l1 + c.p,
            "lr-Adam": np.zeros(ROWS)}  # fmt: skip
    diagnosis = diagnose(write_events(tmp_path, range(49, 50 * ROWS, 50), tags))
    assert diagnosis.run.trainer == "seed_voken"
    assert found(diagnosis)["OPT407"] == "critical" and "never stepped" in message(diagnosis, "OPT407")


def test_the_loss_tag_of_open_sora_says_nothing_without_the_number_of_gpus(tmp_path: Path) -> None:
    c = curves()
    total = 196608 * (c.l1 + c.p)
    diagnosis = diagnose(write_events(tmp_path / "tensorboard", range(ROWS), {"loss": 8 * total}))
    assert diagnosis.run.trainer == "unknown" and not [f for f in diagnosis.findings if f.severity == "critical"]
    assert not {"n_pixels", "pixelloss_weight"} & set(diagnosis.facts.algebra.solved)
    rows = [{"_step": i, "loss": 8 * total[i], "loss_.all": total[i], "loss_.nll": total[i],
             "loss_.nll_rec": 196608 * c.l1[i], "loss_.nll_per": 196608 * c.p[i]} for i in range(ROWS)]  # fmt: skip
    tracked = diagnose(write_csv(tmp_path / "history.csv", rows))
    assert tracked.run.trainer == "open_sora" and tracked.run.columns["total_loss"].original == "loss_.all"
    assert "loss_summed_over_gpus" in tracked.run
    assert tracked.facts.algebra.solved["perceptual_weight"].value == 1


def test_discriminator_columns_of_one_parity_are_paired_with_nothing_else(tmp_path: Path) -> None:
    """WF-VAE logs the generator at steps 0, 10, 20 and the discriminator at 5, 15."""
    c = curves()
    rows: list[dict[str, Any]] = []
    for i in range(ROWS):
        row = {"_step": 10 * i, "train/generator_loss": 2e5 * c.l1[i], "train/rec_loss": 2e5 * c.l1[i]}
        rows += [row | {"train/latents_std": 1.0}]
        rows += [{"_step": 10 * i + 5, "train/discriminator_loss": c.hinge[i]}] if c.on[i] else []
    diagnosis = diagnose(write_csv(tmp_path / "history.csv", rows), disc_start=801)
    assert diagnosis.facts.phases.gan.start_step == 801
    assert diagnosis.facts.adversary is not None and diagnosis.facts.adversary.chance == 1.0
    assert diagnosis.status in ("healthy", "watch") and "ALG901" not in found(diagnosis)


def test_betas_that_never_reach_the_optimizer(tmp_path: Path) -> None:
    declared = "Namespace(opt_betas=[0.9, 0.95], kl_weight=1e-12, disc_start=1600)"
    diagnosis = diagnose(pyramid_flow(tmp_path, namespace=declared))
    assert "opt_betas is ignored: AdamW runs with (0.9, 0.999)" in said(diagnosis, "known_faults")


def test_a_clip_far_below_the_norm(tmp_path: Path) -> None:
    def large(columns: dict[str, Array], c: Curves) -> None:
        columns["grad_norm"] = 4000 * c.ratio

    diagnosis = diagnose(pyramid_flow(tmp_path, large, namespace="Namespace(clip_grad=1.0, disc_start=1600)"))
    assert "Every logged step is scaled" in said(diagnosis, "clip")


def test_a_loss_scale_that_keeps_halving(tmp_path: Path) -> None:
    def halves(columns: dict[str, Array], c: Curves) -> None:
        columns["loss_scale"] = 65536.0 / 2.0 ** (np.arange(ROWS) // 12)

    diagnosis = diagnose(pyramid_flow(tmp_path, halves))
    assert found(diagnosis)["NUM504"] == "warn" and "F8" in [c.id for c in diagnosis.causes]


def test_data_errors_are_counted(tmp_path: Path) -> None:
    errors = "Load video: /data/a.mp4 Error, Exception end of file\n" * 25
    diagnosis = diagnose(pyramid_flow(tmp_path, extra=errors))
    assert found(diagnosis)["DAT702"] == "warn" and message(diagnosis, "DAT702").startswith("25 messages")
    black = "[vidtok.data.vidtok][VidTokDataset] Warning: using the pure black image as the frame sample\n"
    text = "".join(
        f"step {i}: train/rec_loss: {0.1 + 0.001 * (i % 7):.4f}\n{black if i % 3 == 0 else ''}" for i in range(60)
    )
    (tmp_path / "stdout.log").write_text(text)
    assert message(diagnose(tmp_path / "stdout.log"), "DAT702").startswith("20 messages")


# --- causes that show in the log ----------------------------------------------------------------------------------------------

NOTHING_SHOWS = {
    "A3", "A6", "A9", "B3", "B7", "B11", "C10", "C13", "C14", "D11", "D13", "E10", "G2", "G4", "H1", "H2", "H6", "H7", "I1", "I2", "I3", "I4", "I6",
}  # fmt: skip
"""Causes in code, batches or evaluation; B11 and H7, whose signs healthy runs show as well; and G4, runs compared with different weights or clip sizes, which ``vaelab compare`` finds."""


def test_every_fault_that_a_log_or_a_measurement_shows_is_predicted_by_a_rule() -> None:
    assert {c.id for c in CAUSES.values() if not c.expects} == NOTHING_SHOWS
