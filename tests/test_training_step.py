"""The training step: equal to the textbook step in every setting, and economical, and safe against values that are not finite."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from small_training import (
    FeatureDistance,
    batches,
    recorded_gradients,
    relative_distance,
    same,
    small_config,
    small_networks,
    small_step,
    take_steps,
    weights,
)
from textbook import Textbook
from vaelab.config import TrainConfig
from vaelab.losses import Objective
from vaelab.training import step as step_module
from vaelab.training.step import TrainingStep, frozen
from vaelab.training.update import Updater

torch.set_num_threads(1)

# float32 has 24 bits, 6e-8; a gradient sums some thousand rounded terms, and the second and third update start from weights
# that differ by such a rounding already. Measured: at most 3e-6. Distances are norms, relative to the textbook's norm.
GRADIENT_TOLERANCE = 2e-5
WEIGHT_TOLERANCE = 1e-3  # of the way that the weights moved

# AdamW's, in both: it divides a gradient by its own size, so that one which is mere rounding (a bias of attention keys has
# none in exact arithmetic) would move its weight by a full step, in any direction.
EPS = 1e-3


def assert_same_weights(ours: nn.Module, theirs: nn.Module, before: list[torch.Tensor]) -> None:
    """ours, theirs: after the updates. before: the weights that both started from."""
    moved, expected = ([a - b for a, b in zip(weights(net), before, strict=True)] for net in (ours, theirs))
    assert relative_distance(moved, expected) < WEIGHT_TOLERANCE


def steady(step: TrainingStep) -> TrainingStep:
    """``step`` with optimizers that do not enlarge rounding."""
    for update in (step.generator_update, step.disc_update):
        for group in update.optimizer.param_groups if update is not None else ():
            group["eps"] = EPS
    return step


def assert_equals_textbook(config: TrainConfig, updates: int) -> None:
    step = steady(small_step(config))
    autoencoder, discriminator = small_networks(config)
    textbook = Textbook(autoencoder, discriminator, FeatureDistance(), config, EPS)
    data = batches(config, updates)
    before, disc_before = weights(autoencoder), [] if discriminator is None else weights(discriminator)
    with recorded_gradients() as record:
        ours = take_steps(step, data)
    generator = record[id(step.generator_update)]
    disc = record.get(id(step.disc_update), [])
    updates_of_disc = iter(disc)
    for number, (micro_batches, measured) in enumerate(zip(data, ours, strict=True)):
        torch.manual_seed(number)
        theirs = textbook.update(micro_batches, number)
        assert measured["nll_loss"].item() == pytest.approx(theirs.nll, rel=1e-5)
        if theirs.d_weight is None:
            assert "d_weight" not in measured
        elif len(micro_batches) == 1:
            assert measured["d_weight"].item() == pytest.approx(theirs.d_weight, rel=1e-4)
        assert relative_distance(generator[number], theirs.generator) < GRADIENT_TOLERANCE
        if theirs.discriminator is not None:
            assert relative_distance(next(updates_of_disc), theirs.discriminator) < GRADIENT_TOLERANCE
    assert next(updates_of_disc, None) is None  # no update of the discriminator that the textbook does not make
    assert_same_weights(step.autoencoder, autoencoder, before)
    if step.discriminator is not None and discriminator is not None and disc:
        assert_same_weights(step.discriminator, discriminator, disc_before)
    if config.loss.logvar == "learned":
        assert step.logvar[0].item() == pytest.approx(textbook.logvar.item(), abs=1e-6)


CASES: dict[str, dict[str, Any]] = {
    "adaptive weight, hinge": {"loss": {"kl_weight": 1e-3}},
    "fixed weight": {"loss": {"disc_weight_mode": "fixed", "disc_weight": 0.7}},
    "vanilla": {"loss": {"disc_loss": "vanilla"}},
    "non-saturating": {"loss": {"disc_loss": "non-saturating"}},
    "LeCam": {"loss": {"lecam_weight": 0.5, "lecam_decay": 0.6, "disc_factor": 0.8}},
    "LeCam from zero": {"loss": {"lecam_weight": 0.5, "lecam_decay": 0.6, "lecam_init": "zero", "disc_factor": 0.8}},
    "learned logvar": {"loss": {"logvar": "learned", "logvar_init": 0.3, "perceptual_weight": 0.5}},
    "sums, as latent-diffusion": {
        "loss": {"nll_reduction": "sum", "perceptual_weight": 1.0, "kl_weight": 1e-6, "disc_weight": 0.5},
        "optim": {"clip_grad": None, "disc_clip_grad": None, "betas": (0.5, 0.9)},
    },
    "no KL": {"loss": {"kl_weight": 0.0}},
    "KL warm-up": {"loss": {"kl_weight": 0.1, "kl_warmup": 2, "kl_reduction": "mean"}},
    "disc warm-up and ramp": {"loss": {"disc_start": 1, "disc_warmup": 1, "disc_ramp": 2, "disc_factor": 0.8}},
    "smoothed d_weight": {"loss": {"d_weight_ema": 0.7}},
    "clamped d_weight": {"loss": {"d_weight_max": 1e-3}},
    "no GAN": {"loss": {"disc": "none"}},
    "accumulation": {"optim": {"accumulate": 2}, "loss": {"lecam_weight": 0.5, "logvar": "learned"}},
    "schedules": {
        "loss": {"disc_start": 1},
        "optim": {
            "schedule": "cosine",
            "warmup_steps": 1,
            "min_lr": 1e-5,
            "disc_lr": 3e-3,
            "disc_schedule": "linear",
            "weight_decay": 0.1,
        },
    },
}


@pytest.mark.parametrize("video", [False, True], ids=["image", "video"])
@pytest.mark.parametrize("case", CASES)
def test_three_updates_equal_the_textbook_step(case: str, video: bool) -> None:
    assert_equals_textbook(small_config(video, **CASES[case]), updates=3)


losses = st.fixed_dictionaries(
    {
        "pixel_loss": st.sampled_from(["mse", "l1", "l1+mse", "charbonnier"]),
        "pixelloss_weight": st.floats(0.1, 10),
        "nll_reduction": st.sampled_from(["mean", "sum", "sum_per_frame"]),
        "perceptual_weight": st.sampled_from([0.0, 0.3, 2.0]),
        "logvar": st.sampled_from(["off", "learned"]),
        "kl_weight": st.sampled_from([0.0, 1e-6, 1e-2]),
        "kl_reduction": st.sampled_from(["mean", "sum", "sum_per_frame", "channel_mean"]),
        "disc_loss": st.sampled_from(["hinge", "vanilla", "non-saturating"]),
        # not spectral: its estimate of the norm moves with every call, and the textbook calls once for real and once for fake
        "disc_norm": st.sampled_from(["group", "instance", "none"]),
        "disc_weight": st.floats(0.05, 2),
        "disc_weight_mode": st.sampled_from(["adaptive", "fixed"]),
        "disc_factor": st.floats(0.1, 2),
        "disc_start": st.integers(0, 2),
        "disc_ramp": st.integers(0, 3),
        "lecam_weight": st.sampled_from([0.0, 0.5]),
    }
)


@given(st.booleans(), losses, st.sampled_from([None, 0.1, 5.0]), st.integers(1, 2))
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_settings_equal_the_textbook_step(
    video: bool, loss: dict[str, Any], clip: float | None, accumulate: int
) -> None:
    optim = {"clip_grad": clip, "disc_clip_grad": clip, "accumulate": accumulate}
    assert_equals_textbook(small_config(video, loss=loss, optim=optim), updates=2)


def test_two_accumulated_batches_equal_one_of_twice_the_size() -> None:
    options: dict[str, Any] = {
        "model": {"deterministic": True},
        "loss": {"disc_weight_mode": "fixed", "perceptual_weight": 0.5, "logvar": "learned", "kl_weight": 1e-3},
    }
    one = small_config(**options)
    two = small_config(**options, optim={"accumulate": 2}, run={"batch_size": 1})
    data = [micro_batches[0] for micro_batches in batches(one, 3)]
    steps = [steady(small_step(one)), steady(small_step(two))]
    before, disc_before = weights(steps[0].autoencoder), weights(steps[0].discriminator)
    with recorded_gradients() as record:
        take_steps(steps[0], [[x] for x in data])
        take_steps(steps[1], [list(x.split(1)) for x in data])
    for name, network, start in (("generator", "autoencoder", before), ("disc", "discriminator", disc_before)):
        whole, parts = (record[id(getattr(step, f"{name}_update"))] for step in steps)
        for a, b in zip(parts, whole, strict=True):
            assert relative_distance(a, b) < GRADIENT_TOLERANCE
        assert_same_weights(getattr(steps[1], network), getattr(steps[0], network), start)


# -- the generator's pass and the discriminator


def test_the_generator_pass_leaves_no_trace_in_the_discriminator() -> None:
    config = small_config()
    step = small_step(config)
    assert step.discriminator is not None
    next(step.discriminator.parameters()).requires_grad_(False)  # one that is frozen stays frozen
    before, flags = weights(step.discriminator), [p.requires_grad for p in step.discriminator.parameters()]
    x = batches(config, 1)[0][0]
    _, reconstruction = step._generator_pass(x, 0, 1.0)
    assert all(p.grad is None for p in step.discriminator.parameters())
    assert [p.requires_grad for p in step.discriminator.parameters()] == flags
    assert all(torch.equal(a, b) for a, b in zip(before, weights(step.discriminator), strict=True))
    assert not reconstruction.requires_grad
    assert all(p.grad is not None for p in step.autoencoder.parameters())


def test_frozen_ends_with_an_exception_too() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    with pytest.raises(KeyError), frozen(network):
        assert not network.weight.requires_grad
        raise KeyError
    assert network.weight.requires_grad and not network.bias.requires_grad


def test_after_the_step_no_network_holds_a_gradient() -> None:
    config = small_config(loss={"logvar": "learned"})
    step = small_step(config)
    take_steps(step, batches(config, 1))
    assert step.discriminator is not None
    parameters = [*step.autoencoder.parameters(), *step.discriminator.parameters(), *step.logvar]
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_nothing_is_computed_twice_and_nothing_adversarial_too_early(accumulate: int) -> None:
    config = small_config(
        loss={"disc_start": 4, "disc_warmup": 2, "disc_ramp": 3, "perceptual_weight": 1.0, "lecam_weight": 1.0},
        optim={"accumulate": accumulate},
    )
    step = small_step(config)
    assert step.discriminator is not None and step.lecam is not None
    calls = {"autoencoder": 0, "discriminator": 0}
    for name, network in step.networks():
        network.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
    start = weights(step.discriminator)
    seen = []
    for number, micro_batches in enumerate(batches(config, 6)):
        calls.update(autoencoder=0, discriminator=0)
        step.objective.perceptual.calls = 0  # type: ignore[union-attr, assignment]
        measured = step(micro_batches, number)
        assert calls["autoencoder"] == accumulate
        assert step.objective.perceptual.calls == accumulate  # type: ignore[union-attr]
        seen.append(calls["discriminator"] // accumulate)
        assert ("disc_loss" in measured, "g_loss" in measured) == (number >= 2, number >= 4)
        if number == 1:
            assert all(torch.equal(a, b) for a, b in zip(start, weights(step.discriminator), strict=True))
            assert not step.lecam.started
    assert seen == [0, 0, 1, 1, 2, 2]


def test_a_ratio_that_is_not_finite_stays_out_of_the_running_mean() -> None:
    step = small_step(small_config(loss={"d_weight_ema": 0.5}))
    assert step._smoothed(torch.tensor(2.0)).item() == 2.0
    assert step._smoothed(torch.tensor(math.nan)).item() == 2.0
    assert step._smoothed(torch.tensor(4.0)).item() == 3.0


# -- steps that are not finite


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_step_that_is_not_finite_changes_nothing(precision: str) -> None:
    config = small_config(
        loss={"lecam_weight": 0.5, "lecam_decay": 0.5, "logvar": "learned", "d_weight_ema": 0.5},
        optim={"precision": precision, "ema_decay": 0.5},
    )
    step = small_step(config)
    first, bad, last = batches(config, 3)
    bad[0][0, 0, 0, 3, 3] = math.nan
    take_steps(step, [first])
    before = copy.deepcopy(state(step))
    (measured,) = take_steps(step, [bad], first=1)
    assert measured["finite"] == 0 and measured["disc_finite"] == 0
    assert not measured["grad_norm"].isfinite()
    after = state(step)
    if precision == "fp16":
        for name in ("generator", "discriminator"):
            scaler_before, scaler_after = (one["step"][name].pop("scaler") for one in (before, after))
            assert scaler_after["scale"] == scaler_before["scale"] / 2
    assert same(before, after)
    (measured,) = take_steps(step, [last], first=2)
    assert measured["finite"] == 1 and measured["disc_finite"] == 1
    assert not same(before["autoencoder"], state(step)["autoencoder"])
    assert all(value.isfinite() for value in measured.values())


def state(step: TrainingStep) -> dict[str, Any]:
    """All that the next update depends on."""
    assert step.discriminator is not None
    networks = {name: dict(network.state_dict()) for name, network in step.networks()}
    whole = copy.deepcopy({"step": step.state_dict(), **networks})
    whole["step"].pop("ema_updates")  # the average moves towards the same weights as before
    return whole


def test_one_network_is_skipped_without_the_other() -> None:
    updaters = []
    for gradient in (1.0, math.inf):
        parameter = nn.Parameter(torch.ones(2, 2))
        parameter.grad = torch.full((2, 2), gradient)
        updaters.append(updater([parameter]))
    finite = [one.apply(0.1).finite.item() for one in updaters]
    assert finite == [1, 0]
    assert [one.parameters[0][0, 0].item() == 1.0 for one in updaters] == [False, True]


def updater(parameters: list[nn.Parameter], clip: float | None = None) -> Updater:
    return Updater(parameters, betas=(0.9, 0.95), weight_decay=0.0, clip=clip, fp16=False, device=torch.device("cpu"))


def test_norm_coefficient_and_clipping() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    parameter.grad = torch.tensor([3.0, 0.0, 4.0, 0.0])
    update, seen = updater([parameter], clip=1.0), []
    update.optimizer.register_step_pre_hook(lambda *_: seen.append(parameter.grad.clone()))
    applied = update.apply(0.1)
    assert applied.norm.item() == 5.0 and applied.coefficient.item() == pytest.approx(0.2, rel=1e-5)
    torch.testing.assert_close(seen[0], torch.tensor([0.6, 0.0, 0.8, 0.0]), rtol=1e-5, atol=0)


# -- precision, averages, options


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_losses_and_weights_stay_float32_under_autocast(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(loss={"perceptual_weight": 1.0, "kl_weight": 1e-3}, optim={"precision": precision})
    step = small_step(config)
    seen: dict[str, torch.dtype] = {}
    real_terms, real_gen, real_disc = Objective.reconstruction, step_module.gen_loss, step_module.disc_loss

    def terms(self: Objective, x: torch.Tensor, r: torch.Tensor) -> Any:
        result = real_terms(self, x, r)
        seen.update(reconstruction=r.dtype, nll=result.nll.dtype, perceptual=result.perceptual.dtype)
        return result

    def g_loss(kind: str, fake: torch.Tensor) -> torch.Tensor:
        seen["logits"] = fake.dtype
        return real_gen(kind, fake)

    def d_loss(kind: str, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        seen["disc logits"] = real.dtype
        return real_disc(kind, real, fake)

    monkeypatch.setattr(Objective, "reconstruction", terms)
    monkeypatch.setattr(step_module, "gen_loss", g_loss)
    monkeypatch.setattr(step_module, "disc_loss", d_loss)
    inner: set[torch.dtype] = set()
    for _, network in step.networks():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                module.register_forward_hook(lambda m, i, out: inner.add(out.dtype))
    (measured,) = take_steps(step, batches(config, 1))
    assert inner == {step_module.PRECISIONS[precision]}  # the networks do run in 16 bits
    assert set(seen.values()) == {torch.float32} and len(seen) == 5
    assert {value.dtype for value in measured.values()} == {torch.float32}
    assert {p.dtype for _, network in step.networks() for p in network.parameters()} == {torch.float32}


def test_low_precision_gives_nearly_the_gradient_of_float32() -> None:
    found: dict[str, list[torch.Tensor]] = {}
    for precision in ("fp32", "bf16", "fp16"):
        config = small_config(loss={"perceptual_weight": 1.0}, optim={"precision": precision})
        step = small_step(config)
        with recorded_gradients() as record:
            take_steps(step, batches(config, 1))
        found[precision] = record[id(step.generator_update)][0]
    # rounding of the networks' arithmetic: 8 bits and 11 bits
    assert relative_distance(found["bf16"], found["fp32"]) < 0.1
    assert relative_distance(found["fp16"], found["fp32"]) < 0.02


def test_gradients_through_the_loss_networks_do_not_underflow_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    # 600,000 values share the gradient of a mean: each has some 1e-7, and the smallest number of fp16 is 6e-8
    generator = torch.Generator().manual_seed(0)
    x = torch.tanh(torch.randn(3, 3, 4, 128, 128, generator=generator))
    noise = 0.05 * torch.randn(x.shape, generator=generator)

    def gradient(precision: str) -> list[torch.Tensor]:
        loss = {"perceptual_weight": 1.0, "pixelloss_weight": 0.0}
        step = small_step(small_config(loss=loss, optim={"precision": precision}))
        reconstruction = (x + noise).requires_grad_()
        with step._autocast():
            terms = step.objective.reconstruction(x, reconstruction)
        return step._gradients(terms.nll, [reconstruction])

    exact = gradient("fp32")
    assert relative_distance(gradient("fp16"), exact) < 0.02
    monkeypatch.setattr(Updater, "scale", lambda self, value: value)
    assert relative_distance(gradient("fp16"), exact) > 0.1  # measured: 0.35, and 0.004 with the scale


def test_ema_is_the_average_that_its_formula_says() -> None:
    config = small_config(optim={"ema_decay": 0.3, "lr": 0.1})
    step = small_step(config)
    assert step.ema is not None
    expected = [w.double() for w in weights(step.autoencoder)]
    for number, micro_batches in enumerate(batches(config, 5)):
        step(micro_batches, number)
        decay = min(0.3, (1 + number) / (10 + number))
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights(step.autoencoder), strict=True)]
    assert not step.ema.network.training and not any(p.requires_grad for p in step.ema.network.parameters())
    for averaged, wanted in zip(step.ema.network.parameters(), expected, strict=True):
        torch.testing.assert_close(averaged, wanted.float(), rtol=1e-5, atol=1e-6)


def test_configure_changes_weights_rates_and_clipping() -> None:
    before = small_config(loss={"disc_weight_mode": "fixed", "kl_weight": 1e-3})
    after = small_config(
        loss={"disc_weight_mode": "fixed", "kl_weight": 1e-1, "disc_weight": 0.01},
        optim={"lr": 3e-4, "clip_grad": 0.2, "disc_clip_grad": 0.1, "disc_lr": 2e-4},
    )
    changed, new = small_step(before), small_step(after)
    changed.configure(after.loss, after.optim)
    data = batches(before, 2)
    for a, b in zip(take_steps(changed, data), take_steps(new, data), strict=True):
        assert same(a, b)
    assert all(torch.equal(a, b) for a, b in zip(weights(changed.autoencoder), weights(new.autoencoder), strict=True))
    assert changed.disc_lr(0) == 2e-4


@pytest.mark.parametrize("video", [False, True], ids=["image", "video"])
@pytest.mark.parametrize("option", ["channels_last", "activation_checkpointing"])
def test_memory_options_change_no_number(option: str, video: bool) -> None:
    plain = small_config(video, loss={"perceptual_weight": 1.0, "kl_weight": 1e-3})
    step, special = steady(small_step(plain)), steady(small_step(plain))
    if option == "channels_last":
        layout = torch.channels_last_3d if video else torch.channels_last
        for _, network in special.networks():
            network.to(memory_format=layout)  # type: ignore[call-overload]
        assert any(p.is_contiguous(memory_format=layout) and p.ndim > 3 for p in special.autoencoder.parameters())
    else:
        special.autoencoder.enable_checkpointing()
    with recorded_gradients() as record:
        for one in (step, special):
            take_steps(one, batches(plain, 2))
    for name in ("generator_update", "disc_update"):
        for a, b in zip(record[id(getattr(special, name))], record[id(getattr(step, name))], strict=True):
            assert relative_distance(a, b) < GRADIENT_TOLERANCE


def test_compiled_networks_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    # the backend that only traces: the graphs are cut as they would be, without minutes of code generation
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network: real(network, backend="aot_eager"))
    config = small_config()
    compiled_config = config.model_copy(update={"optim": config.optim.model_copy(update={"compile": True})})
    data = batches(config, 1)
    step, compiled = steady(small_step(config)), steady(small_step(compiled_config))
    with recorded_gradients() as record:
        plain_measured, measured = take_steps(step, data), take_steps(compiled, data)
    for a, b in zip(measured, plain_measured, strict=True):
        assert a["d_weight"].item() == pytest.approx(b["d_weight"].item(), rel=1e-4)
    for name in ("generator_update", "disc_update"):
        for a, b in zip(record[id(getattr(compiled, name))], record[id(getattr(step, name))], strict=True):
            assert relative_distance(a, b) < GRADIENT_TOLERANCE
