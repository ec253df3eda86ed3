"""Logs that are tables: CSV files of Lightning's trainers and of a hand-written loop; what `dialects` says of them holds."""

from __future__ import annotations

import csv
import gzip
import statistics
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from result import Result, Row

GZIP_LEVEL = 9


def write_text(path: Path, lines: Sequence[str]) -> str:
    path.write_text("\n".join(lines) + "\n")
    return compressed(path)


def compressed(path: Path) -> str:
    """Replace the file by its gzip without a time stamp, so that a repeated run gives the same bytes; its name."""
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), GZIP_LEVEL, mtime=0))
    path.unlink()
    return packed.name


def ldm_values(result: Result, row: Row) -> Row:
    """LDM's columns: rec_loss holds the weighted perceptual distance, and disc_loss is 0 until the start."""
    loss = result.config.loss
    names = ("kl_loss", "nll_loss", "d_weight", "g_loss", "disc_loss", "logits_real", "logits_fake", "disc_factor")
    values = {name: row.get(name, 0.0) for name in names}
    values["rec_loss"] = row["rec_loss"] + loss.perceptual_weight * row.get("perceptual_loss", 0.0)
    return values


# -- Lightning --------------------------------------------------------------------------------------------------------

_GENERATOR = ("total_loss", "logvar", "kl_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss")
_DISCRIMINATOR = ("disc_loss", "logits_real", "logits_fake")


def lightning(result: Result, folder: Path) -> str:
    """CSVLogger: rows of training at steps 4, 9, ...; then one of the validation's and one of the epoch's means."""
    terms = [*_GENERATOR, *_DISCRIMINATOR]
    columns = ["aeloss_step", *(f"train/{name}" for name in _GENERATOR), "discloss_step"]
    columns += [*(f"train/{name}" for name in _DISCRIMINATOR), "epoch", "step"]
    columns += [
        "val/rec_loss",
        *(f"val/{name}" for name in terms if name != "rec_loss"),
        "aeloss_epoch",
        "discloss_epoch",
    ]
    rows: list[dict[str, Any]] = []
    validations = dict(result.validations)
    for step, row in enumerate(result.rows):
        place = {"epoch": step // result.epoch, "step": step}
        if (step + 1) % result.config.run.log_every == 0:
            values = _ldm_terms(result, row)
            losses = {"aeloss_step": values["total_loss"], "discloss_step": values["disc_loss"]}
            rows.append(losses | {f"train/{name}": value for name, value in values.items()} | place)
        if step in validations:
            rows.append({f"val/{name}": v for name, v in _ldm_terms(result, validations[step]).items()} | place)
            epoch = result.rows[step + 1 - result.epoch : step + 1]
            means = {"aeloss_epoch": "total_loss", "discloss_epoch": "disc_loss"}
            rows.append({k: statistics.fmean(r.get(v, 0.0) for r in epoch) for k, v in means.items()} | place)
    (folder / "project.yaml").write_text(yaml.safe_dump(_ldm_config(result), sort_keys=False))
    return _table(folder / "metrics.csv", columns, rows)


def _ldm_terms(result: Result, row: Row) -> Row:
    values = {"total_loss": row["total_loss"], "logvar": row.get("logvar", 0.0)} | ldm_values(result, row)
    return {name: values[name] for name in (*_GENERATOR, *_DISCRIMINATOR)}


def _ldm_config(result: Result) -> dict[str, Any]:
    """The project's yaml that LDM's main.py saves beside the log."""
    config = result.config
    loss, optim = config.loss, config.optim
    params = {
        "disc_start": loss.disc_start, "kl_weight": loss.kl_weight, "disc_weight": loss.disc_weight,
        "perceptual_weight": loss.perceptual_weight, "disc_in_channels": config.data.channels,
    }  # fmt: skip
    ddconfig = {
        "double_z": True, "z_channels": config.model.config["latent_channels"], "resolution": config.data.resolution[0],
        "in_channels": config.data.channels, "out_ch": config.data.channels, "ch": 24, "ch_mult": [1, 2, 2],
    }  # fmt: skip
    model = {
        "base_learning_rate": optim.lr,
        "target": "ldm.models.autoencoder.AutoencoderKL",
        "params": {
            "embed_dim": config.model.config["latent_channels"],
            "ckpt_path": "/data/vae.ckpt" if "pretrained" in result.derived else None,
            "lossconfig": {"target": "ldm.modules.losses.LPIPSWithDiscriminator", "params": params},
            "ddconfig": ddconfig,
        },
    }
    return {"model": model, "data": {"params": {"batch_size": config.run.batch_size}}}


# -- VQ autoencoders ---------------------------------------------------------------------------------------------------

_TAMING = ("total_loss", "quant_loss", "nll_loss", "rec_loss", "p_loss", "d_weight", "disc_factor", "g_loss")


def taming(result: Result, folder: Path) -> str:
    columns = [
        "train/aeloss",
        *(f"train/{n}" for n in _TAMING),
        "train/discloss",
        *(f"train/{n}" for n in _DISCRIMINATOR),
    ]
    columns += [
        "epoch",
        "step",
        "val/rec_loss",
        "val/aeloss",
        *(f"val/{n}" for n in (*_TAMING, *_DISCRIMINATOR) if n != "rec_loss"),
    ]
    validations = dict(result.validations)
    rows: list[dict[str, Any]] = []
    for step, row in enumerate(result.rows):
        place = {"epoch": step // result.epoch, "step": step}
        if (step + 1) % result.config.run.log_every == 0:
            values = _taming_terms(result, row)
            totals = {"train/aeloss": values["total_loss"], "train/discloss": values["disc_loss"]}
            rows.append(totals | {f"train/{name}": value for name, value in values.items()} | place)
        if step in validations:
            values = _taming_terms(result, validations[step])
            rows.append({"val/aeloss": values["total_loss"]} | {f"val/{name}": v for name, v in values.items()} | place)
    project = _ldm_config(result)
    model = project["model"]
    model["target"] = "taming.models.vqgan.VQModel"
    model["params"] |= {"n_embed": result.system.codes}
    losses = model["params"]["lossconfig"]
    losses["target"] = "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator"
    losses["params"] = {k: v for k, v in losses["params"].items() if k != "kl_weight"} | {"codebook_weight": 1.0}
    (folder / "project.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    return _table(folder / "metrics.csv", columns, rows)


def _taming_terms(result: Result, row: Row) -> Row:
    values = {name: row.get(name, 0.0) for name in (*_TAMING, *_DISCRIMINATOR)}
    values["p_loss"] = row["perceptual_loss"]
    values["rec_loss"] = row["rec_loss"] + result.config.loss.perceptual_weight * row["perceptual_loss"]
    return values


_PLAIN = {
    "loss": "total_loss", "recon_loss": "rec_loss", "perceptual_loss": "perceptual_loss", "vq_loss": "quant_loss",
    "commit_loss": "commit_loss", "perplexity": "perplexity", "codebook_usage": "codebook_usage", "gen_loss": "g_loss",
    "disc_loss": "disc_loss", "grad_norm": "grad_norm", "lr": "lr",
}  # fmt: skip


def plain(result: Result, folder: Path) -> str:
    validations = dict(result.validations)
    rows = []
    for step, row in enumerate(result.rows):
        values: dict[str, Any] = {}
        if step % result.config.run.log_every == 0:
            values = {name: row[ours] for name, ours in _PLAIN.items() if ours in row}
        if step in validations:
            values |= {"val_recon_loss": validations[step]["rec_loss"], "val_psnr": validations[step]["psnr"]}
        if values:
            rows.append({"step": step} | {name: f"{value:.6g}" for name, value in values.items()})
    return _table(folder / "log.csv", ["step", *_PLAIN, "val_recon_loss", "val_psnr"], rows)


def _table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    path.write_text(text.getvalue())
    return compressed(path)
