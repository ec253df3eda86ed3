"""The catalogue of metrics: every trainer's columns find their metric, entries are complete, rules of thumb honest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.catalog import METRICS, canonical

SPLIT_LOSS = "total_loss logvar kl_loss nll_loss rec_loss d_weight disc_factor g_loss disc_loss logits_real logits_fake"

# Columns as the trainers print them; "a = b" says that both are one value, so b may share a's canonical name.
COLUMNS = {
    "pyramid_flow": (
        "lr min_lr loss_scale total_loss logvar kl_loss nll_loss rec_loss perception_loss d_weight disc_factor g_loss "
        "weight_decay grad_norm disc_loss disc_loss_scale disc_grad_norm disc_lr disc_min_lr logits_real logits_fake time data",
        {"max mem": "memory", "vae_loss": "total_loss", "train_perception_loss": "perceptual_loss", "train_lr": "lr"},
    ),
    "radiodiff text": (
        " ".join(f"train/{name}" for name in SPLIT_LOSS.split()) + " lr",
        {"train/nll_loss": "nll_loss"},
    ),
    "radiodiff tensorboard": (
        "Learning_Rate total_loss rec_loss kl_loss d_weight disc_factor g_loss disc_loss logits_real logits_fake",
        {"Learning_Rate": "lr"},
    ),
    "taming": (
        "train/aeloss_step train/quant_loss_step train/nll_loss_step train/rec_loss_step train/p_loss_step "
        "train/d_weight_step train/disc_factor_step train/g_loss_step train/disc_loss_step train/logits_real_step "
        "train/logits_fake_step lr-Adam lr-Adam-1",
        {
            "train/discloss_step": "disc_loss",
            "train/total_loss_epoch": "epoch/total_loss",
            "val/rec_loss": "val/rec_loss",
            "val/aeloss_epoch": "val/total_loss",
            "lr-Adam-1": "disc_lr",
        },
    ),
    "ldm": (
        " ".join(f"train/{name}" for name in SPLIT_LOSS.split()) + " train/perplexity train/cluster_usage",
        {
            "aeloss_step": "total_loss",
            "discloss_step": "disc_loss",
            "aeloss_epoch": "epoch/total_loss",
            "val_ema/rec_loss": "val_ema/rec_loss",
        },
    ),
    "sgm": (
        "train/kl_loss train/loss/total train/loss/nll train/loss/rec train/loss/g train/scalars/logvar "
        "train/scalars/d_weight train/loss/disc train/logits/real train/logits/fake",
        {
            "train/loss/rec_step": "rec_loss",
            "val/loss/rec": "val/rec_loss",
            "val_ema/loss/rec": "val_ema/rec_loss",
            "train/logits/fake_epoch": "epoch/logits_fake",
        },
    ),
    "vidtok": (
        " ".join(f"train/{name}_step" for name in SPLIT_LOSS.split())
        + " train/p_loss_step train/aux_loss_step train/non_saturated_d_loss_step train/lecam_loss_step lr_abs",
        {"train/aeloss_step": "total_loss", "val/p_loss": "val/perceptual_loss"},
    ),
    "wf_vae": (
        "train/generator_loss train/rec_loss train/latents_std train/discriminator_loss val/recon val/psnr val/lpips "
        "val/flickering train/wl_loss",
        {"train/generator_loss": "total_loss", "val_ema/psnr": "val_ema/psnr", "val/recon": "val/rec_loss"},
    ),
    "open_sora": (
        "all nll nll_rec nll_per kl gen gen_w disc lr global_grad_norm",
        {"nll_rec": "rec_loss", "nll_per": "perceptual_loss", "gen_w": "g_loss_weighted", "loss_.disc": "disc_loss"},
    ),
    "seed_voken": (
        "train/total_loss train/per_sample_entropy train/codebook_entropy train/commit_loss train/entropy_loss "
        "train/nll_loss train/reconstruct_loss train/perceptual_loss train/d_weight train/disc_factor train/g_loss "
        "train/disc_loss train/logits_real train/logits_fake train/lecam_loss train/non_saturated_d_loss",
        {"train/unsacled_g_loss": "g_loss", "train/codebook_quant_loss": "quant_loss"},
    ),
    "diffusers": (
        "loss nll_loss rec_loss p_loss kl_loss disc_weight disc_factor g_loss lr disc_loss logits_real logits_fake disc_lr",
        # d_weight under the name of a setting: vaelab.dialects renames it for this trainer only.
        {"disc_weight": "disc_weight", "step_discr_loss": "disc_loss", "step_gen_loss": "total_loss"},
    ),
    "magvit2": (
        "total_loss recon_loss perceptual_loss adversarial_gen_loss discr_loss gradient_penalty",
        {
            "recon loss": "rec_loss",
            "discr loss": "disc_loss",
            "valid_recon_loss": "val/rec_loss",
            "valid_ema_recon_loss": "val_ema/rec_loss",
            "validation recon loss": "val/rec_loss",
            "validation EMA recon loss": "val_ema/rec_loss",
        },
    ),
    "vqgan_training": (
        "d_loss gan_loss avg_real_logits avg_fake_logits perceptual_loss mse_loss kl_loss overall_vae_loss "
        "time_taken_till_step time_taken_till_load",
        {"ABS mu (0.0): average_of_abs_z": "latent_abs_mean", "overall_vae_loss": "total_loss"},
    ),
}
UNKNOWN_ON_PURPOSE = {"disc_weight"}


@pytest.mark.parametrize("trainer", COLUMNS)
def test_every_column_of_a_trainer_finds_its_own_metric(trainer: str) -> None:
    columns, expected = COLUMNS[trainer]
    names = {column: canonical(column) for column in columns.split()}
    assert len(set(names.values())) == len(names), "two columns of one log share a canonical name"
    unknown = {name.split("/")[-1] for name in names.values()} - set(METRICS) - UNKNOWN_ON_PURPOSE
    assert not unknown
    assert {column: canonical(column) for column in expected} == expected


def test_no_alias_names_two_metrics() -> None:
    owners: dict[str, str] = {}
    for metric in METRICS.values():
        for alias in {metric.name, *metric.aliases}:
            assert owners.setdefault(alias, metric.name) == metric.name
            assert alias == alias.lower().replace(" ", "_")
            assert canonical(alias) == metric.name


@pytest.mark.parametrize("name", ["global_step", "my metric", "gan/foo", "grad_norm/conv_in.weight", "train/custom"])
def test_an_unknown_column_keeps_its_own_name(name: str) -> None:
    assert canonical(name) == name.lower().replace(" ", "_").removeprefix("train/")


@given(
    alias=st.sampled_from([alias for m in METRICS.values() for alias in m.aliases]),
    split=st.sampled_from([("", ""), ("train/", ""), ("val/", "val/"), ("valid.", "val/"), ("val_ema/", "val_ema/")]),
    suffix=st.sampled_from(["", "_step", "_epoch"]),
    upper=st.booleans(),
)
def test_split_and_suffix_are_told_from_the_metric(
    alias: str, split: tuple[str, str], suffix: str, upper: bool
) -> None:
    name = f"{split[0]}{alias}{suffix}"
    prefix = split[1] or ("epoch/" if suffix == "_epoch" else "")
    assert canonical(name.upper() if upper else name) == prefix + canonical(alias)


@given(st.text(max_size=40))
def test_any_text_has_a_canonical_name(name: str) -> None:
    assert canonical(name) == canonical(f"  {name}\t")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_entries_say_what_a_metric_measures_and_how_to_read_it(metric) -> None:  # type: ignore[no-untyped-def]
    assert metric.meaning.endswith(".") and metric.read_as.endswith(".")
    for band in metric.bands:
        assert band.condition and band.why.endswith(".") and band.source
        assert band.low is None or band.high is None or band.low <= band.high


def test_folk_limits_of_the_field_notes_are_refuted() -> None:
    refuted = {band.name for m in METRICS.values() for band in m.bands if band.standing == "refuted"}
    for claim in (
        "KL 200 to 800",
        "KL above 5,000",
        "MSE below 0.01",
        "disc_loss of about 1.0",
        "grad_norm below 10",
        "nll 0.12",
    ):
        assert any(name.startswith(claim) for name in refuted), claim
