"""What must, and what must not, be said of the figures that the field notes quote."""

from __future__ import annotations

import re

import pytest

from quotes import QUOTES, diagnose_quote, everything_said

# each must_say of quotes.json, in its order, as patterns of what vaelab says in its own words
SAID: dict[str, list[list[str]]] = {
    "S0-S1-kl1e-4-epoch1": [
        [r"pixelloss_weight is 10 \(interval (8\.[89]|9\.\d)\d* to 10\.[4-7]", r"1 is excluded"],
        [r"MSE on inputs in \[-1, 1\]", r"0\.0069 \(27\.6 dB"],
        [r"weighted KL term is 0\.05", r"33\.\d% of the loss by value \(not of the gradient\)"],
        [r"0\.166 nats per latent element for a 16x3x32x32 latent \(if the clips are 17 frames at 256x256", r"8x8x8"],
        [r"fell 42% from 0\.0119", r"\+2\.4 dB"],
    ],
    "S0-kl1e-4-first-400": [
        [r"rose 12\.6x from 0\.0025", r"-11\.0 dB"],
        [r"low start .* is a pretrained model: the learning rate is 0 at step 0"],
        [r"still warming up: 2e-05 of 0\.0001"],
        [r"weighted KL term is 3\.4, 9[789]\.\d% of the loss", r"KL weight is the first suspect"],
    ],
    "S2-B": [
        [r"pixelloss_weight is 1 \(interval 0\.90 to 1\.10 with perceptual_weight 1\)", r"nll_loss = .* closes"],
        [r"weighted KL term is 3\.8e-08", r"does not drive the loss"],
        [r"0\.0015 is 34\.3 dB"],
    ],
    "S2-bad-weight": [
        [r"total_loss = nll_loss \+ kl_weight x kl_loss closes"],
        [r"KL 99\.4%"],
    ],
    "S2-C-start": [
        [r"not rec \+ perception \(0\.0335\)", r"10 x 0\.0015 \+ 1 x 0\.032 = 0\.047, printed 0\.0434", r"medians"],
        [r"total_loss equals nll_loss within print precision", r"3\.7e-08"],
        [r"grad_norm is printed before clipping", r"Every logged step is scaled \(by 0\.19\)"],
        [r"KL 36,706 .* is 11\.9 nats per latent element", r"17 frames at 256x256"],
        [r"0\.0011 \(35\.6 dB PSNR", r"0\.0015 \(34\.3 dB", r"Compare with your own step 0, the pretrained model"],
    ],
    "S2-C-gan-start": [
        [r"starts at step 2,000 \(epoch 1, iteration 0\)", r"step on which the learning-rate warm-up ends"],
        [r"6\.2x, -7\.9 dB", r"level to come back to is 0\.0033"],
        [r"hinge loss .* 1 is chance level \(inside the margin it is exactly 1 - gap/2\)", r"does not separate real from fake"],
        [r"13\.2 times smaller than the nll gradient", r"scaled GAN gradient is disc_weight \(0\.5\) of the nll's"],
        [r"d_weight x g_loss is larger than the rest", r"sign of g_loss has no meaning by itself"],
        [r"does not close", r"6\.5966 x -0\.0679 = -0\.448 would need nll 0\.418"],
    ],
    "S2-C-1800-after": [
        [r"6\.\d of 7\.[789] dB recovered", r"stands at 1\.5 times its level before the GAN"],
        [r"perceptual_loss went from 0\.032 ", r"both are worse, so the GAN has not paid yet"],
        [r"gap is not positive: the discriminator is at or below chance, uninformative"],
        [r"[Cc]ompare PSNR and LPIPS on held-out clips with the checkpoint before", r"[Ww]arm", r"accuracy"],
    ],
    "S3-golden": [
        [r"pixelloss_weight is 10 ", r"10 x 0\.01 \+ 1 x 0\.05 = 0\.15"],
        [r"do(es)? not transfer", r"0\.01 is 26\.0 dB"],
    ],
    "S3-bad": [
        [r"0\.07 at step 0, 0\.5 now, 7\.1 times the error", r"is still rising: stop and look"],
        [r"Which component rose cannot be told from nll_loss alone"],
    ],
    "S4-radiodiff": [
        [r"total_loss = 65,536 x rec_loss: the reconstruction term is summed over the pixels", r"65,536 = 256x256"],
        [r"weighted KL term is 0\.13, 0\.005%", r"it was 0\.0177 \(5e-05%\) at the first row", r"does not drive the loss"],
        [r"L1 \+ MSE \+ LPIPS, so PSNR cannot be read from it; 0\.04 bounds the MSE by 0\.027"],
        [r"10\.5 nats per latent element for a 3x64x64", r"nearly deterministic, which is usual", r"latent std, .*logvar floor"],
        [r"disc_loss is 0\.0 because disc_factor is 0 until then", r"31,701 steps to go", r"printed before that mean nothing"],
        [r"18,300 of 150,000 \(12\.2%\)"],
        [r"rec_loss fell from 0\.53 to 0\.04 \(-92%\); lowest 0\.03 \(-94%\)", r"total_loss .* \(-92%\)"],
        [r"no log can show", r"clipped after the optimizer step", r"gradients are never synchronised", r"min_lr is used"],
    ],
}  # fmt: skip


def test_every_quote_has_its_patterns() -> None:
    assert SAID.keys() == QUOTES.keys()
    for quote_id, quote in QUOTES.items():
        assert len(SAID[quote_id]) == len(quote["must_say"]), quote_id


@pytest.mark.parametrize(
    ("quote_id", "index"), [(quote_id, i) for quote_id, said in SAID.items() for i in range(len(said))]
)
def test_must_say(quote_id: str, index: int) -> None:
    text = everything_said(diagnose_quote(quote_id))
    for pattern in SAID[quote_id][index]:
        assert re.search(pattern, text), f"{QUOTES[quote_id]['must_say'][index]!r}: {pattern!r} is not in\n{text}"


@pytest.mark.parametrize("quote_id", list(QUOTES))
def test_must_not_say(quote_id: str) -> None:
    text = everything_said(diagnose_quote(quote_id)).lower()
    for forbidden in QUOTES[quote_id]["must_not_say"]:
        if "first cause" in forbidden:
            assert diagnose_quote(quote_id).causes[0].id != "E1"
            continue
        if "as established" in forbidden:
            assert not re.search(r"\bis in equilibrium|reached equilibrium", text)
            continue
        assert forbidden.split(" (")[0].lower() not in text, forbidden


def test_the_first_cause_of_the_kl_run_is_the_kl_weight() -> None:
    causes = diagnose_quote("S0-kl1e-4-first-400").causes
    assert causes[0].id == "C2"
    assert causes[0].score > 0.5
