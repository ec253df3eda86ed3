"""Roles: what a column is, from the user, the dialect, its name and its values; and never more sure than that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vaelab.catalog import METRICS
from vaelab.cli.app import app
from vaelab.errors import ConfigError
from vaelab.readers import read
from vaelab.roles import NamedValues, assign, parse_map
from vaelab.roles.assign import METRIC_OF, ROLE_NAMES
from vaelab.roles.behaviour import closes, holds, zero_before_start
from vaelab.roles.grammar import read_name

# as trainers print them; the role, and the canonical metric where there is one
NAMES = {
    "l_g_pix": ("reconstruction", "rec_loss"),
    "l_g_percep": ("perceptual", "perceptual_loss"),
    "l_g_gan": ("generator_adversarial", "g_loss"),
    "l_d_real": ("discriminator_real", "disc_loss_real"),
    "out_d_fake": ("logits_fake", "logits_fake"),
    "out_d_real": ("logits_real", "logits_real"),
    "D_fake_loss": ("discriminator_fake", "disc_loss_fake"),
    "mrstft_loss": ("reconstruction", "rec_loss"),
    "fullband_spectral_distance": ("reconstruction", "rec_loss"),
    "mel/loss": ("reconstruction", "rec_loss"),
    "adv/gen_loss": ("generator_adversarial", "g_loss"),
    "adv/disc_loss": ("discriminator", "disc_loss"),
    "adv/feat_loss": ("feature_matching", "feature_matching_loss"),
    "discr (scale 0.25) loss": ("discriminator", "disc_loss"),
    "soundstream total loss": ("total", "total_loss"),
    "soundstream recon loss": ("reconstruction", "rec_loss"),
    "weighted_gan_loss": ("generator_adversarial", "g_loss_weighted"),
    "loss/g/total": ("total", "total_loss"),
    "loss/d/total": ("discriminator", "disc_loss"),
    "loss_vq": ("quantiser", "quant_loss"),
    "commit_loss_2": ("quantiser", "quant_loss"),
    "codebook_unique_ratio": ("codebook_usage", "cluster_usage"),
    "ppl_0": ("codebook_usage", "perplexity"),
    "per_sample_entropy_loss": ("entropy", "sample_entropy"),
    "loss_kl": ("kl", "kl_loss"),
    "KLDiv": ("kl", "kl_loss"),
    "kl_weight": ("weight", "kl_weight"),
    "lambda_adv": ("weight", "disc_weight"),
    "lpips_coef": ("weight", "perceptual_weight"),
    "discriminator_factor": ("weight", "disc_factor"),
    "disc_adaptive_weight": ("adaptive_weight", "d_weight"),
    "gen_lr": ("learning_rate", "lr"),
    "lr_discriminator": ("learning_rate", "disc_lr"),
    "gnorm": ("gradient_norm", "grad_norm"),
    "grad_norm/latent_tokens": ("gradient_norm", ""),
    "Train Loss": ("total", "total_loss"),
    "reduced_train_loss": ("total", "total_loss"),
    "train_step_timing in s": ("time", "step_time"),
    "Data (t)": ("time", "data_time"),
    "peak_memory(GB)": ("memory", ""),
    "consumed_samples": ("progress", ""),
    "disc_accuracy_real": ("discriminator_accuracy", ""),
    "PSNR (dB)": ("quality", "psnr"),
    "ssim_loss": ("reconstruction", "rec_loss"),
    "style_loss": ("perceptual", ""),
    "lecam_reg": ("regulariser", ""),
    "1e-6*kl_loss": ("kl", ""),
    "w * kl_loss": ("kl", ""),
    "β*kl_loss": ("kl", ""),
    "kl_loss*kl_weight": ("kl", ""),
    "weighted_kl_loss": ("kl", ""),
    "0.1*g_loss": ("generator_adversarial", "g_loss_weighted"),
    "neg_log_likelihood": ("reconstruction", "nll_loss"),
    "log/kl_loss": ("kl", "kl_loss"),
    "rec_loss/l1": ("reconstruction", "rec_loss"),
    "latents/std": ("latent_statistic", "latents_std"),
    "tokens_per_second": ("time", ""),
    "vae_r_loss": ("reconstruction", "rec_loss"),
    "nll_per": ("perceptual", "perceptual_loss"),
    "semantic_align_loss": ("alignment", "alignment_loss"),
}
NOBODY_KNOWS = (
    "bandwidth",
    "color",
    "l_feat_encoder",
    "cross_entropy_loss",
    "sisnr",
    "foo_loss",
    "banana",
    "loss/g/dur",
    "",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_words_of_a_name_say_the_role(name: str) -> None:
    reading = read_name(name)
    assert (reading.role, reading.metric) == NAMES[name]


@pytest.mark.parametrize(
    "name",
    ["log_kl_loss", "delta_rec_loss", "neg_psnr", "rec_loss_grad", "kl_loss/rec_loss", "rec_loss_std", "rec_loss_var", "log10(rec_loss)",
     "rec_loss^2", "kl_loss**2", "rec_loss + kl_loss", "1-ssim", "one_minus_ssim", "best_rec_loss", "kl_diff", "ln_rec", "kl_loss_ratio",
     "train/log_nll", "D(x)", "D(G(z))", "D(x_hat)", "D_G_z1"],
)  # fmt: skip
def test_what_is_made_of_a_metric_is_not_that_metric(name: str) -> None:
    reading = read_name(name)
    assert (reading.role, reading.metric, reading.could_be) == ("unknown", "", ()) and reading.derived
    (found,) = assign([NamedValues(name, np.linspace(1.0, 0.1, 20))], {})
    assert found.metric not in METRICS and reading.derived in found.role.reason


@pytest.mark.parametrize("name", NOBODY_KNOWS)
def test_a_name_without_a_telling_word_stays_unknown(name: str) -> None:
    reading = read_name(name)
    assert reading.role == "unknown" and not reading.metric and not reading.could_be


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("val/l_g_pix", "val"),
        ("Test set loss", "test"),
        ("valid recon loss", "val"),
        ("ema_recon_loss", "ema"),
        ("rec_loss_ema", "ema"),
    ],
)
def test_the_split_of_a_name(name: str, split: str) -> None:
    assert read_name(name).split == split


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error_and_to_a_known_metric(name: str) -> None:
    reading = read_name(name)
    assert reading.role in ROLE_NAMES and (not reading.metric or reading.metric in METRICS)


def test_every_metric_has_a_role_and_every_role_a_metric_of_that_role() -> None:
    # a maximum over steps moves by single samples: it is not judged as a reconstruction is
    assert [m.name for m in METRICS.values() if m.role == "unknown"] == ["rec_loss_max"]
    assert all(METRICS[metric].role == role for role, metric in METRIC_OF.items())


N = 60
T = np.arange(N, dtype=float)
REC = 0.1 + 0.3 * np.exp(-T / 15)
ADV = np.where(T < 20, 0.0, 0.8 + 0.1 * np.sin(T))


def roles(columns: dict[str, np.ndarray], **given: str) -> dict[str, str]:
    found = assign([NamedValues(n, np.asarray(v, float)) for n, v in columns.items()], {}, "", given)
    return {
        name: a.role.name if a.role.standing != "ambiguous" else "ambiguous"
        for name, a in zip(columns, found, strict=True)
    }


def test_gen_loss_that_waits_for_the_gan_is_the_adversarial_term() -> None:
    assert roles({"recons_loss": REC, "gen_loss": ADV})["gen_loss"] == "generator_adversarial"


def test_gen_loss_that_sums_the_terms_is_the_total() -> None:
    columns = {"mel_loss": REC, "adversarial_loss": 0.5 + 0.2 * np.sin(T), "gen_loss": 45 * REC + 0.5 + 0.2 * np.sin(T)}
    assert roles(columns)["gen_loss"] == "total"


def test_gen_loss_below_the_reconstruction_cannot_hold_it() -> None:
    columns = {"loss_mel": 20 + REC, "loss_gen": 3 + 0.3 * np.sin(T), "loss_disc": 2 + 0 * T}
    assert roles(columns)["loss_gen"] == "generator_adversarial"


def test_gen_loss_that_is_the_total_but_for_the_kl_is_the_reconstruction() -> None:
    kl = 5 + np.sqrt(T)
    assert roles({"gen loss": REC, "kld": kl, "loss": REC + 0.01 * kl})["gen loss"] == "reconstruction"


def test_gen_loss_alone_is_ambiguous_and_keeps_its_name() -> None:
    (found,) = assign([NamedValues("gen_loss", 1 + REC)], {})
    assert found.metric == "gen_loss" and found.role.standing == "ambiguous"
    assert set(found.role.could_be) == {"generator_adversarial", "total", "reconstruction"}


def test_aeloss_that_is_always_zero_is_no_total() -> None:
    assert (
        roles({"train/aeloss_step": 0 * T, "train/recon_loss_step": REC})["train/aeloss_step"]
        == "generator_adversarial"
    )


def test_a_kl_with_its_sign_turned_is_said() -> None:
    (found,) = assign([NamedValues("KLD", -5 - T)], {})
    assert found.metric == "kl_loss" and found.role.kind == "negated" and "minus sign" in found.role.reason


def test_a_total_has_a_direction_only_without_an_adversarial_term() -> None:
    def better(adversarial: np.ndarray) -> str:
        columns = [NamedValues("loss", 2 * REC), NamedValues("recon_loss", REC), NamedValues("adv_loss", adversarial)]
        return assign(columns, {})[0].role.better

    assert better(0 * T) == "down" and better(ADV) == "none"


def test_the_user_wins_over_dialect_and_name() -> None:
    found = assign(
        [NamedValues("p_loss", REC)], {"p_loss": "perceptual_loss"}, "some trainer", {"p_loss": "reconstruction"}
    )
    assert found[0].metric == "rec_loss" and found[0].role.standing == "given"


def test_beside_a_known_dialect_another_loss_keeps_its_own_name() -> None:
    found = assign(
        [NamedValues("rec_loss", REC), NamedValues("z_rec_loss", REC / 2)], {"rec_loss": "rec_loss"}, "some trainer"
    )
    assert [a.metric for a in found] == ["rec_loss", "z_rec_loss"] and found[1].role.standing == "inferred"


@given(st.floats(0.1, 100), st.floats(0, 10))
def test_a_weighted_sum_closes_with_its_weights(a: float, b: float) -> None:
    weights = closes(a * REC + b * (1 + np.sin(T)), [REC, 1 + np.sin(T)])
    assert weights is not None and np.allclose(weights, [a, b], rtol=1e-6, atol=1e-6)


def test_what_is_no_sum_does_not_close() -> None:
    assert closes(2 + np.cos(T), [REC, 1 + np.sin(T)]) is None
    assert closes(REC[:5], [REC[:5]]) is None
    assert closes(0 * T, [REC]) is None
    assert not holds(REC / 2, REC) and holds(2 * REC, REC)
    assert zero_before_start(ADV) and not zero_before_start(REC) and not zero_before_start(0 * T)


@pytest.mark.parametrize("text", ["", "x", "=kl", "x=", "x=nonsense"])
def test_a_map_that_is_none_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not understood|no role or metric"):
        parse_map([text])


# Through the doors ----------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = "\n".join(f"{10 * i},{REC[i]:.6f},{5 + REC[i]:.6f}" for i in range(N))
    path = tmp_path / "log.csv"
    path.write_text(f"step,blur_term,gen_loss\n{rows}\n")
    return path


def test_map_gives_a_column_its_role_everywhere(log: Path) -> None:
    assert read(log)["blur_term"] is not None
    run = read(log, roles={"blur_term": "reconstruction"})
    assert run.columns["rec_loss"].role.standing == "given"
    done = CliRunner().invoke(app, ["diagnose", str(log), "--map", "blur_term=mse", "-f", "json"])
    (column,) = [c for c in json.loads(done.stdout)["runs"][0]["reading"] if c["column"] == "blur_term"]
    assert (column["metric"], column["role"], column["standing"]) == ("rec_loss", "reconstruction", "given")


def test_roles_in_the_settings_beside_the_log_or_in_config(log: Path) -> None:
    settings = log.with_name("mine.yaml")
    settings.write_text("roles:\n  blur_term: reconstruction\n")
    done = CliRunner().invoke(app, ["diagnose", str(log), "--config", str(settings), "-f", "json"])
    assert "rec_loss" in {c["metric"] for c in json.loads(done.stdout)["runs"][0]["reading"]}
    settings.rename(log.with_name("config.yaml"))
    assert "rec_loss" in read(log)


def test_a_column_that_is_not_there_is_named_with_the_nearest(log: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column 'blur'.*blur_term"):
        read(log, roles={"blur": "kl"})


def test_the_screen_says_what_is_guessed_and_how_to_settle_it(log: Path) -> None:
    text = CliRunner().invoke(app, ["diagnose", str(log)], env={"COLUMNS": "200"}).stdout
    assert "ambiguous, not judged: gen_loss (generator adversarial or total or reconstruction)" in text
    assert "--map gen_loss=generator_adversarial" in text and "of no known role: blur_term" in text
