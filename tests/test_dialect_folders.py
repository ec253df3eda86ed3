"""One folder a trainer: found by the registry, complete, and named nowhere else; a fork is not judged as its parent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vaelab.dialects
from vaelab.config.foreign import sources
from vaelab.dialects import DIALECTS, conventions, detect, parts
from vaelab.errors import ConfigError
from vaelab.lint import LintReport, lint

SOURCE = Path(vaelab.dialects.__file__).parents[1]
FORK = """\
model:
  base_learning_rate: 8.0e-05
  target: ldm.models.autoencoder.AutoencoderKL
  params:
    embed_dim: 16
    lossconfig:
      target: ldm.modules.losses.LPIPSWithDiscriminator
      params: {disc_start: 10001, kl_weight: 1.0e-06, disc_weight: 0.5}
    ddconfig: {double_z: true, z_channels: 16, resolution: 256, in_channels: 3, out_ch: 3, ch: 128, ch_mult: [1, 2, 4]}
data: {params: {batch_size: 16}}
lightning: {trainer: {gpus: "0,1,2,3,4,5,6,7", max_epochs: 40}}
"""


def report(tmp_path: Path, text: str, name: str = "config.yaml") -> LintReport:
    (tmp_path / name).write_text(text)
    (found,) = lint(str(tmp_path / name))
    return found


def codes(found: LintReport) -> set[str]:
    return {finding.code for finding in found.findings}


def test_every_folder_is_found_and_no_id_is_given_twice() -> None:
    folders = {path.parent.name for path in (SOURCE / "dialects").glob("*/__init__.py")}
    listed = [dialect.id for name in folders for dialect in vars(vaelab.dialects)[name].DIALECTS]
    assert sorted([*listed, "unknown"]) == sorted(DIALECTS)
    assert all(dialect.source or dialect.own for dialect in DIALECTS.values() if dialect.id != "unknown")


def test_the_parts_of_a_folder_have_what_is_asked_of_them() -> None:
    assert all(module.SETTINGS for module in parts("settings"))
    assert all(isinstance(module.BUGS, tuple) and set(module.COPIES) <= set(sources()) for module in parts("faults"))


def test_no_setting_has_two_meanings() -> None:
    meanings: dict[str, set[str]] = {}
    for dialect in DIALECTS.values():
        for name, key in dialect.setting_names.items():
            meanings.setdefault(name, set()).add(key)
    assert {name: keys for name, keys in meanings.items() if len(keys) > 1} == {}


def test_no_other_file_names_a_trainer() -> None:
    ids = "|".join(re.escape(name) for name in DIALECTS if name not in ("unknown", "vaelab", "diffusers"))
    naming = [
        f"{path.relative_to(SOURCE)}: {match[0]}"
        for path in SOURCE.rglob("*.py")
        if "dialects" not in path.relative_to(SOURCE).parts and (match := re.search(rf'"({ids})"', path.read_text()))
    ]
    # rules of thumb are said of one trainer
    assert [name for name in naming if not name.startswith("catalog")] == []


def test_the_parent_itself_is_judged_by_its_code(tmp_path: Path) -> None:
    found = report(tmp_path, FORK)
    assert {"LNT402", "LDM-4", "LNT104"} <= codes(found) and found.plan.fork == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("disc_weight: 0.5", "disc_weight: 0.5, vf_weight: 0.1"),
        ("embed_dim: 16", "embed_dim: 16\n    p_prior: 0.5\n    anisotropic: false"),
        ("embed_dim: 16", "embed_dim: 16\n    use_vf: mae"),
        ("in_channels: 3,", "in_channels: 3, patch_size: 2,"),
        ("autoencoder.AutoencoderKL", "autoencoder.EquivariantAutoencoder"),
        ("ldm.models.autoencoder.AutoencoderKL", "lab.vae.AutoencoderKL"),
        ("losses.LPIPSWithDiscriminator", "losses.AlignedLPIPSWithDiscriminator"),
        ('gpus: "0,1,2,3,4,5,6,7"', "devices: 8"),
        ('gpus: "0,1,2,3,4,5,6,7"', 'gpus: "0,1", strategy: ddp_find_unused_parameters_true'),
        ('gpus: "0,1,2,3,4,5,6,7"', 'gpus: "0,1", accelerator: gpu'),
        ("model:\n", "seed: 1\nmodel:\n"),
    ],
)
def test_a_fork_is_not_judged_by_its_parents_code(old: str, new: str, tmp_path: Path) -> None:
    assert old in FORK
    found = report(tmp_path, FORK.replace(old, new))
    assert found.plan.fork and "a fork of latent-diffusion" in found.title
    assert codes(found) == {"LNT104", "LNT202"}


def test_the_launcher_of_the_parent_makes_no_fork(tmp_path: Path) -> None:
    found = report(tmp_path, FORK.replace("max_epochs: 40", "accelerator: ddp, benchmark: true, max_steps: 1000000"))
    assert found.plan.fork == () and "LNT402" in codes(found)


def test_a_misspelt_option_makes_no_fork(tmp_path: Path) -> None:
    found = report(tmp_path, FORK.replace("disc_start", "disc_strat"))
    assert found.plan.fork == () and {"LDM-4", "LNT202"} <= codes(found)


@pytest.mark.parametrize(
    "line",
    [
        "python train/train_vqgan.py dataset=volumes model=vq_gan_3d model.lr=2e-4 model.n_codes=8192",
        "python train_vqgan.py --config configs/volumes.yaml --gpus 2",
        "torchrun train_ddp.py --data /imagenet --arch resnet50 --epochs 90 --batch_size 256 --lr 0.1",
        "python vae_trainer.py --dataset mnist --latent_dim 20 --epochs 10",
    ],
)
def test_the_name_of_a_script_alone_names_no_trainer(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not of a trainer that lint knows"):
        report(tmp_path, f"{line}\n", "train.sh")


@pytest.mark.parametrize(
    "target",
    [
        "ldm.models.diffusion.ddpm.LatentDiffusion",
        "sgm.models.diffusion.DiffusionEngine",
        "taming.models.cond_transformer.Net2Net",
    ],
)
def test_a_diffusion_model_or_transformer_of_a_known_package_is_no_autoencoder(target: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not of a trainer that lint knows"):
        report(tmp_path, f"model: {{base_learning_rate: 1.0e-4, target: {target}, params: {{timesteps: 1000}}}}\n")


def test_options_of_a_script_tell_a_fork_from_a_change_of_its_data(tmp_path: Path) -> None:
    script = "accelerate launch --num_processes 4 train_autoencoderkl.py --train_data_dir data --mixed_precision bf16"
    assert {"DF-1", "DF-3", "DF-4"} <= codes(report(tmp_path, script, "a.sh"))
    logged = report(tmp_path, f"{script} --wandb_entity lab", "b.sh")
    assert logged.plan.fork == () and {"DF-1", "LNT202"} <= codes(logged)
    forked = report(tmp_path, f"{script} --dino_loss_weight 0.1", "c.sh")
    assert forked.plan.fork == ("dino_loss_weight",) and not {"DF-1", "DF-3", "DF-4"} & codes(forked)


LDM_COLUMNS = [
    "aeloss_step",
    "train/total_loss",
    "train/kl_loss",
    "train/nll_loss",
    "train/rec_loss",
    "val_ema/rec_loss",
    "loss",
]


def test_a_log_with_another_loss_is_of_a_fork() -> None:
    assert detect(LDM_COLUMNS, "csv", {})[:2] == ("ldm", 0.95)
    known = conventions("ldm", {}, LDM_COLUMNS)
    assert known is DIALECTS["ldm"] and known.known_faults
    trainer, confidence, reason = detect([*LDM_COLUMNS, "train/smoothness_loss"], "csv", {})
    assert trainer == "ldm" and confidence < 0.5 and "smoothness_loss" in reason and "a fork" in reason
    fork = conventions("ldm", {}, [*LDM_COLUMNS, "train/smoothness_loss"])
    assert fork.fork == ("smoothness_loss",) and fork.title.startswith("a fork of") and fork.rec_kind == known.rec_kind
    assert not fork.known_faults and not fork.formulas and not fork.defaults


def test_the_surest_signature_wins() -> None:
    both = ["aeloss", "kl_loss", "rec_loss", "non_saturated_d_loss"]
    assert detect(both, "csv", {})[0] == "vidtok" and detect(both[:3], "csv", {})[0] == "ldm"
