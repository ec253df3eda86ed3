"""Terms that a report cannot do without, in plain words: the ``?`` beside them says this."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from vaelab.report.layout import plain

TERMS = {
    "effective beta": "What one nat of KL weighs against one unit of the pixel loss, when both are summed over the whole sample. It makes KL "
    "weights of trainers comparable that sum or average differently: latent-diffusion's autoencoders use 1e-6.",
    "nats per latent element": "How much information one number of the latent carries on average. Near 0 it carries nothing; published "
    "autoencoders lie between about 0.3 and 10. One nat is 1.44 bits.",
    "nats/element": "Nats per latent element: how much information one number of the latent carries on average. Near 0 it carries nothing.",
    "% likely": "How much of the belief goes to this cause, when it is shared between all causes in the list, a fault that is not in the list, "
    "and no fault at all.",
    "% of such runs have a fault": "Where the reckoning starts: before the log is read, this share of runs is taken to have a fault. "
    "Change it with --faulty-share.",
    "d_weight": "The factor that scales the generator's GAN loss, so that its gradient at the decoder's last layer is about as large as that of the "
    "reconstruction loss.",
    "chance level": "The loss of a discriminator that cannot tell real pictures from reconstructions at all.",
    "PSNR": "The size of the squared error in decibels; higher is better, and 6 dB more is half the error.",
}  # fmt: skip


def explained(text: object) -> Markup:
    """``text`` as HTML, with a ``?`` behind the first place of each term."""
    shown = str(escape(plain(text)))
    for term in TERMS:
        if term == "nats/element" and "nats per latent element" in shown:
            continue
        mark = f'<button type="button" class="term" popovertarget="{_id(term)}" aria-label="What does {term.strip("% ")} mean?">?</button>'
        # a word of a name, or of a button made here, is not the term
        before = "" if term.startswith("%") else r"(?<![\w/\"-])"
        shown = re.sub(rf"{before}{re.escape(term)}(?![\w\"-])", rf"\g<0>{mark}", shown, count=1)
    return Markup(shown)


def explanations() -> Markup:
    """What the ``?`` buttons open; once on a page."""
    return Markup("").join(
        Markup('<div popover id="{}" class="explanation"><b>{}</b><p>{}</p></div>').format(
            _id(term), term.strip("% "), text
        )
        for term, text in TERMS.items()
    )


def _id(term: str) -> str:
    return "term-" + re.sub(r"\W+", "-", term).strip("-")
