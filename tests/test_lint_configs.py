"""Settings of other trainers as people write them, linted: what is named, on which line, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaelab.config import preset, presets
from vaelab.config.foreign import import_foreign
from vaelab.config.refusals import FROM_FILES
from vaelab.lint import LintFinding, LintReport, lint

CONFIGS = Path(__file__).parent / "data" / "configs"

# A GAN stage on one GPU, with what the lint asks for
GOOD_SCRIPT = """\
python train/train_video_vae.py --video_anno videos.jsonl --resolution 256 --max_frames 17 --batch_size 2 \\
    --add_discriminator --disc_start 0 --kl_weight 1e-8 --pixelloss_weight 10 --perceptual_weight 1.0 \\
    --clip_grad 1.0 --lr 1e-4 --lr_disc 1e-4 --warmup_epochs 1 --epochs 100 --iters_per_epoch 2000
"""
RADIODIFF = """\
model:
  embed_dim: 3
  ckpt_path:
  lossconfig: {disc_start: 50001, kl_weight: 0.000001, disc_weight: 0.5, disc_in_channels: 1}
  ddconfig:
    {double_z: True, z_channels: 3, resolution: [256, 256], in_channels: 1, out_ch: 1, ch: 128, ch_mult: [1, 2, 4],
     num_res_blocks: 2, attn_resolutions: [], dropout: 0.0}
data: {name: radio, batch_size: 2}
trainer:
  gradient_accumulate_every: 2
  lr: 0.0001
  min_lr: 0.1
  train_num_steps: 150000
  save_and_sample_every: 5000
  log_freq: 100
  results_folder: results
  amp: False
  fp16: False
"""
LDM = (CONFIGS / "latent_diffusion.yaml").read_text()
VIDTOK = (CONFIGS / "vidtok.yaml").read_text()
SGM = """\
model:
  base_learning_rate: 1.0e-4
  target: sgm.models.autoencoder.AutoencodingEngine
  params:
    monitor: val/loss/rec
    disc_start_iter: 20001
    loss_config:
      target: sgm.modules.autoencoding.losses.GeneralLPIPSWithDiscriminator
      params: {disc_start: 20001, disc_weight: 0.5, perceptual_weight: 0.25, learn_logvar: true, regularization_weights: {kl_loss: 1.0}}
    encoder_config: {params: {in_channels: 3, ch_mult: [1, 2, 4, 4], z_channels: 8, resolution: 256}}
data: {params: {batch_size: 8}}
lightning: {trainer: {devices: 1, precision: 32}}
"""
OPEN_SORA = """\
model = dict(type="dc_ae")
bucket_config = {"256px_ar1:1": {32: (1.0, 4)}}
discriminator = dict(type="N_Layer_discriminator_3D")
gen_loss_config = dict(gen_start=1000, disc_weight=0.05)
disc_loss_config = dict(disc_start=0, disc_loss_type="hinge")
vae_loss_config = dict(perceptual_loss_weight=0.5, kl_loss_weight=1e-6)
optim = dict(cls="HybridAdam", lr=5e-5)
dtype = "bf16"
ema_decay = 0.99
"""
WF_VAE = "torchrun --nproc_per_node=8 train_ddp.py --num_frames 25 --disc_start 0 --lr 1e-5 --ema\n"
DIFFUSERS = "accelerate launch --num_processes 1 train_autoencoderkl.py --max_train_steps 100000 --disc_start 10000 --learning_rate 1e-4 --validation_image a.png --report_to wandb\n"
SEED_VOKEN = """\
model:
  class_path: src.Open_MAGVIT2.models.lfqgan.VQModel
  init_args:
    learning_rate: 0.0001
    scheduler_type: "None"
    lossconfig: {params: {disc_start: 0, disc_loss: hinge, lecam_loss_weight: 0.05, perceptual_weight: 1.0}}
trainer: {devices: 8, precision: 16-mixed}
"""
MAGVIT2 = """\
from magvit2_pytorch import VideoTokenizer, VideoTokenizerTrainer
trainer = VideoTokenizerTrainer(VideoTokenizer(image_size=128), dataset_folder="videos", learning_rate=2e-5, num_train_steps=1000)
"""
VQGAN_TRAINING = (
    "torchrun --nproc_per_node=8 vae_trainer.py --do_ganloss --use_lecam --learning_rate_vae 1e-4 --max_steps 100000\n"
)


def report(tmp_path: Path, text: str, name: str = "config.yaml") -> LintReport:
    path = tmp_path / name
    path.write_text(text)
    reports = lint(str(path))
    assert len(reports) == 1
    return reports[0]


def codes(found: LintReport, certain: bool = True) -> set[str]:
    return {f.code for f in found.findings if f.certain or not certain}


def finding(found: LintReport, code: str, option: str | None = None) -> LintFinding:
    matching = [f for f in found.findings if f.code == code and option in (None, f.option)]
    assert len(matching) == 1, (code, option, sorted(codes(found, certain=False)))
    return matching[0]


@pytest.mark.parametrize("name", presets())
def test_the_presets_are_clean_but_for_the_data_that_some_need(name: str) -> None:
    (found,) = lint(name)
    assert {f.code for f in found.findings} == ({"LNT209"} if preset(name).data.source in FROM_FILES else set())


@pytest.mark.parametrize("name", ["pyramid_flow.sh", "radiodiff.yaml", "latent_diffusion.yaml", "vidtok.yaml"])
def test_what_the_importer_makes_of_faulty_settings_is_clean(name: str, tmp_path: Path) -> None:
    found = report(tmp_path, import_foreign(CONFIGS / name).yaml())
    # the importer keeps the weight of the KL, and VidTok's limit of the gradients, and says so
    assert {f.code for f in found.findings} <= {"LNT209", "LNT302", "LNT405"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GOOD_SCRIPT, "a.sh"),
        (RADIODIFF, "a.yaml"),
        (SGM, "a.yaml"),
        (OPEN_SORA, "a.py"),
        (WF_VAE, "a.sh"),
        (VQGAN_TRAINING, "a.sh"),
    ],
)
def test_sound_settings_have_no_fault_of_settings(text: str, name: str, tmp_path: Path) -> None:
    """What is left is in the trainers' code, and is nothing that these settings could avoid."""
    found = report(tmp_path, text, name)
    ours = [f for f in found.findings if f.code.startswith("LNT") and f.code != "LNT104"]
    assert ours == [] and not any(f.severity == "critical" and f.line for f in found.findings if f.certain)


# -- Pyramid-Flow


def test_pyramid_flows_script() -> None:
    first, second = lint(str(CONFIGS / "pyramid_flow.sh"))
    assert (first.title, second.title) == tuple(f"Pyramid-Flow (train_video_vae.py), training {n} of 2" for n in (1, 2))
    late = finding(first, "LNT101")
    assert late.severity == "critical" and late.line == 21 and "250,000" in late.message and "199,999" in late.message
    assert late.known_as[0].startswith("PF-3 (jy0205/Pyramid-Flow at 3040d71, scripts/train_causal_video_vae.sh")
    assert late.patch == ("--add_discriminator --disc_start 0   in a second run; this one without a GAN",)
    assert not late.advice and "LNT102" not in codes(first), "one advice: not to add the discriminator here as well"
    betas = finding(first, "LNT201", "opt_betas")
    assert betas.line == 25 and betas.known_as[0].startswith("PF-4") and "(0.9, 0.999)" in betas.message
    assert finding(first, "LNT201", "ema_update").known_as[0].startswith("PF-5")
    assert finding(first, "LNT202").option == "colour_jitter"
    assert "2.1e-08" in finding(first, "LNT302").message
    assert {"PF-13", "PF-6"} <= codes(first) and not {"PF-1", "PF-2", "PF-7", "PF-10"} & codes(first, certain=False)
    # stage 2: 33 frames on two GPUs of a group, with the truncated gradient
    assert {"PF-10"} <= codes(second) and "LNT207" not in codes(second)


def test_a_gan_on_several_gpus_is_never_synchronised(tmp_path: Path) -> None:
    several = GOOD_SCRIPT.replace("python ", "torchrun --nproc_per_node 8 ")
    assert "PF-1" not in codes(report(tmp_path, GOOD_SCRIPT, "a.sh"), certain=False)
    found = finding(report(tmp_path, several, "a.sh"), "PF-1")
    assert found.severity == "critical" and found.certain and found.line == 2
    unknown = finding(report(tmp_path, "--lpips_ckpt a --add_discriminator --kl_weight 1e-8", "a.txt"), "PF-1")
    assert not unknown.certain and unknown.severity == "warn" and "which the file does not say" in unknown.message


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("--disc_start 0", "--disc_start 20000", "PF-2"),
        ("--disc_start 0", "--disc_start 2000", "LNT103"),
        ("--disc_start 0", "--disc_start 195000", "LNT105"),
        ("--perceptual_weight 1.0", "--perceptual_weight 0", "PF-7"),
        ("--kl_weight 1e-8", "--kl_weight 1e-4", "LNT301"),
        ("--max_frames 17", "--max_frames 24", "LNT205"),
        ("--resolution 256", "--resolution 250", "LNT206"),
        ("--warmup_epochs 1", "--warmup_epochs 0 --warmup_steps 500", "LNT107"),
        ("--warmup_epochs 1", "--warmup_epochs 60", "LNT107"),
        ("--lr 1e-4", "--lr 1e-2", "LNT402"),
        ("--clip_grad 1.0", "--clip_grad 5000", "LNT404"),
        ("videos.jsonl", "$VIDEOS", "LNT204"),
        ("--max_frames 17", "--max_frames 33 --use_context_parallel --context_size 4", "LNT207"),
    ],
)
def test_each_fault_of_a_script_is_named(old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in GOOD_SCRIPT
    assert code not in codes(report(tmp_path, GOOD_SCRIPT, "a.sh"), certain=False)
    assert code in codes(report(tmp_path, GOOD_SCRIPT.replace(old, new), "a.sh"), certain=False)


# -- YAML and Python


@pytest.mark.parametrize(
    ("text", "name", "old", "new", "code"),
    [
        (RADIODIFF, "a.yaml", "disc_start: 50001", "disc_start: 150000", "LNT101"),
        (RADIODIFF, "a.yaml", "[256, 256]", "[320, 320]", "LNT203"),
        (RADIODIFF, "a.yaml", "every: 2\n", "every: 4\n", "LNT403"),
        (RADIODIFF, "a.yaml", "lr: 0.0001", "lr: !!float 5e-6", "LNT401"),
        (RADIODIFF, "a.yaml", "min_lr: 0.1", "min_lr: !!float 5e-7", "RD-6"),
        (RADIODIFF, "a.yaml", "fp16: False", "fp16: True", "LNT407"),
        (RADIODIFF, "a.yaml", "amp: False", "amp: True", "LNT201"),
        (RADIODIFF, "a.yaml", "sample_every: 5000", "sample_every: 200000", "LNT108"),
        (RADIODIFF, "a.yaml", "kl_weight: 0.000001", "kl_weight: 1.0", "LNT301"),
        (LDM, "a.yaml", "4.5e-6", "1.0e-4", "LNT402"),
        (LDM, "a.yaml", "resolution: 256", "resolution: 512", "LNT203"),
        (VIDTOK, "a.yaml", "accumulate_grad_batches: 1", "accumulate_grad_batches: 4", "LNT403"),
        (VIDTOK, "a.yaml", "precision: bf16-mixed", "precision: 16-mixed", "VT-5"),
        (VIDTOK, "a.yaml", "sample_num_frames: 17", "sample_num_frames: 16", "LNT205"),
        (VIDTOK, "a.yaml", "max_epochs: 1000", "gradient_clip_val: 1.0", "LNT404"),
        (SGM, "a.yaml", "val/loss/rec", "val/rec_loss", "SGM-3"),
        (SGM, "a.yaml", "disc_start_iter: 20001", "ema_decay: 0.999", "SGM-1"),
        (SGM, "a.yaml", "disc_start_iter: 20001", "input_key: jpg", "SGM-2"),
        (SGM, "a.yaml", "devices: 1", "gradient_clip_val: 1.0", "LNT404"),
        (OPEN_SORA, "a.py", "32: (1.0, 4)", "33: (1.0, 4)", "LNT205"),
        (OPEN_SORA, "a.py", '"hinge"', '"wgan-gp"', "OS-4"),
        (OPEN_SORA, "a.py", "gen_start=1000", "gen_start=1000, disc_factor=0", "OS-4b"),
        (OPEN_SORA, "a.py", 'discriminator = dict(type="N_Layer_discriminator_3D")', "", "LNT102"),
        (WF_VAE, "a.sh", "--disc_start 0", "--disc_start 5", "WF-8"),
        (WF_VAE, "a.sh", "--ema", "--clip_grad_norm 1.0", "LNT201"),
        (WF_VAE, "a.sh", "--num_frames 25", "--num_frames 24", "LNT205"),
        (DIFFUSERS, "a.sh", "--disc_start 10000", "--disc_start 100000", "LNT101"),
        (DIFFUSERS, "a.sh", "--learning_rate 1e-4", "--learning_rate 4.5e-6", "LNT401"),
        (DIFFUSERS, "a.sh", "--num_processes 1", "--num_processes 4", "DF-3"),
        (DIFFUSERS, "a.sh", "--num_processes 1", "--mixed_precision bf16", ""),
        (DIFFUSERS, "a.sh", "--report_to wandb", "--mixed_precision bf16", "DF-4"),
        (SEED_VOKEN, "a.yaml", '"None"', "linear-warmup", "SV-1"),
        (SEED_VOKEN, "a.yaml", "disc_loss: hinge, lecam_loss_weight: 0.05", "disc_factor: 0, lecam_loss_weight: null", "SV-2"),
        (VQGAN_TRAINING, "a.sh", " --use_lecam", "", "CS-2"),
    ],
)  # fmt: skip
def test_each_fault_of_a_file_is_named(text: str, name: str, old: str, new: str, code: str, tmp_path: Path) -> None:
    assert old in text
    if not code:  # --num_processes left out: the launcher's own settings decide
        assert not finding(report(tmp_path, text.replace(old, new), name), "DF-3").certain
        return
    assert code not in codes(report(tmp_path, text, name))
    found = report(tmp_path, text.replace(old, new), name)
    assert code in codes(found) and all(
        f.line or f.code in ("LNT102", "SV-2", "DF-3") for f in found.findings if f.code == code
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.iterdir()), ids=lambda path: path.name)
def test_a_finding_has_one_advice(path: Path) -> None:
    for found in lint(str(path)):
        assert not [f for f in found.findings if f.patch and f.advice]


def test_the_line_is_that_of_the_option(tmp_path: Path) -> None:
    found = report(tmp_path, RADIODIFF.replace("min_lr: 0.1", "min_lr: 1e-7"))
    at = finding(found, "RD-6")
    assert at.line == 12 and at.patch == ("trainer.min_lr: 0.1",) and "train_vae.py:133" in at.where


def test_counters_of_two_optimizers_are_told_apart(tmp_path: Path) -> None:
    vidtok = finding(report(tmp_path, VIDTOK), "LNT104")
    assert "generator update 10,000" in vidtok.message and vidtok.known_as[0].startswith("VT-1")
    assert vidtok.patch[0].startswith("model.params.loss_config.params.disc_start: 40002")
    ldm = finding(report(tmp_path, LDM), "LNT104")
    assert not ldm.certain and "50,001 or 25,000" in ldm.message
    short = report(tmp_path, VIDTOK.replace("max_epochs: 1000", "max_steps: 20000"))
    assert "LNT101" in codes(short)


def test_the_size_is_read_for_other_data_of_radiodiff(tmp_path: Path) -> None:
    edge = RADIODIFF.replace("name: radio", "name: edge, img_folder: edges").replace("[256, 256]", "[320, 320]")
    found = report(tmp_path, edge)
    assert not {"LNT203", "LNT201", "RD-9"} & codes(found)


def test_a_file_with_nothing_but_a_model_is_not_taken_for_ours(tmp_path: Path) -> None:
    text = "model: {base_learning_rate: 4.5e-6, target: taming.models.vqgan.VQModel, params: {n_embed: 1024}}"
    assert report(tmp_path, text).plan.trainer == "taming"


def test_the_gpus_of_a_yaml_are_not_guessed(tmp_path: Path) -> None:
    found = finding(report(tmp_path, RADIODIFF), "RD-1")
    assert not found.certain and found.severity == "warn" and "more than one GPU" in found.message


def test_open_sora_files_start_from_others(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(OPEN_SORA.replace("kl_loss_weight=1e-6", "kl_loss_weight=10.0"))
    found = report(
        tmp_path, '_base_ = ["base.py"]\noptim = dict(lr=1e-4)\n' + "disc_loss_config = dict(disc_start=0)\n", "b.py"
    )
    assert finding(found, "LNT301").line is None and "OS-1" in codes(found)


def test_magvit2_scripts_are_read_without_running_them(tmp_path: Path) -> None:
    found = report(tmp_path, MAGVIT2 + "raise SystemExit('it ran')\n", "train.py")
    assert {"MV-1", "MV-3", "MV-5"} <= codes(found)
    assert not finding(found, "MV-4").certain
