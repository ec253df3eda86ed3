"""Whether and when the GAN starts, and what else happens then."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.dialects.plan import Plan
from vaelab.lint.base import LintFinding, LintRule
from vaelab.rules.base import Severity
from vaelab.words import number

SHORT_GAN = 0.05  # of the run: less is too little for a reconstruction to recover from the GAN's start
SAME_TIME = 0.02  # of disc_start: closer is the same time


def start_fits(plan: Plan) -> float:
    """A start of the GAN at half of the run, in the trainer's counter."""
    return int((plan.schedule.updates or 0) * (plan.gan.counts or 1) / 2)


class DiscStartBeyondEnd(LintRule):
    """The GAN would start after the last step.

    What it checks: disc_start against the length of the run, both in the counter that the trainer compares.

    Why it matters: the run is finished without a GAN, and its reconstructions stay as soft as L1, MSE and LPIPS leave
    them. Nothing in the log says so: the columns of the discriminator are missing, zero, or of a network that never learns.
    The public launch script of Pyramid-Flow does this (250,000 of 200,000).

    What to do: set disc_start inside the run, at about half of it, or make the run longer. To train without a GAN on
    purpose, leave the discriminator out.

    References: D1; jy0205/Pyramid-Flow scripts/train_causal_video_vae.sh
    """

    code = "LNT101"
    name = "disc-start-beyond-end"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        start, updates = plan.gan.start, plan.schedule.updates
        if not plan.gan.asked or start is None or updates is None:
            return
        end = updates * (plan.gan.counts or 1)
        if start >= end:
            yield self.finding(
                "critical",
                f"the GAN would start at {number(start)}, after the last step {number(end - 1)} ({plan.schedule.length}): it never"
                " starts",
                plan,
                "disc_start",
                "updates",
                patch=[plan.written("disc_start", start_fits(plan))],
            )


class GanFlagMissing(LintRule):
    """Options of a GAN are given, but no discriminator is built.

    What it checks: whether the switch or the section that builds the discriminator is there where other options of the
    GAN are.

    Why it matters: the options are read and kept, and nothing uses them. In Pyramid-Flow a run that reached disc_start
    without --add_discriminator would even end with an error there.

    What to do: add the switch; or remove the options of the GAN, to train without one on purpose.

    References: D1; jy0205/Pyramid-Flow modeling_loss.py:78-79,142
    """

    code = "LNT102"
    name = "gan-flag-missing"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        if plan.own or plan.gan.built is not False or not plan.gan.asked or "gan" not in plan.keys:
            return
        if (plan.gan.start or 0) >= (plan.schedule.updates or float("inf")):
            return  # LNT101 says that the GAN never starts, and what to do
        end = "; training would stop with an error at disc_start" if plan.gan.fails_unbuilt else ""
        yield self.finding(
            "critical",
            f"{plan.written('gan')} is missing: no discriminator is built, so the GAN's options have no effect{end}",
            plan,
            "disc_start",
            "disc_weight",
            "gen_loss_config.disc_weight",
            patch=[plan.written("gan")] if plan.options.style == "flag" else ["discriminator = dict(type=...)"],
        )


class WarmupEndsOnDiscStart(LintRule):
    """A warm-up ends where the GAN starts.

    What it checks: the end of the learning rate's and of the KL's warm-up against disc_start.

    Why it matters: two changes at one step cannot be told apart in the log, and the GAN's start is the worst moment for the
    largest learning rate of the run.

    What to do: end warm-ups well before disc_start.

    References: criteria of this project, section 0; D5, E3
    """

    code = "LNT103"
    name = "warmup-ends-on-disc-start"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        start = plan.gan.start_update
        if not plan.gan.built or not start or start >= (plan.schedule.updates or float("inf")):
            return
        for name, end in (("warmup", plan.schedule.warmup), ("kl_warmup", plan.schedule.kl_warmup)):
            if end and abs(end - start) <= max(1.0, SAME_TIME * start):
                yield self.finding(
                    "warn",
                    f"the warm-up of the {'learning rate' if name == 'warmup' else 'KL'} ends at step {number(end)}, where the GAN"
                    f" starts ({number(start)}): what happens there cannot be told apart",
                    plan,
                    name,
                    patch=[plan.written("disc_start", int(2 * start * (plan.gan.counts or 1)))]
                    if 2 * start < 0.9 * (plan.schedule.updates or 0)
                    else (),
                )


class DiscStartInOtherUnits(LintRule):
    """disc_start is counted in something other than batches.

    What it checks: whether the trainer's counter takes more than one count for each update of the generator.

    Why it matters: under Lightning the steps of both optimizers are counted, so a GAN planned for batch 20,001 starts at
    batch 10,001. In trainers whose networks take turns only every second batch trains the generator. max_steps and
    every_n_train_steps count the same way.

    What to do: write down which batch is meant, and give disc_start in the trainer's counter.

    References: G1; microsoft/VidTok autoencoder.py:246-273; CompVis/taming-transformers#129
    """

    code = "LNT104"
    name = "disc-start-in-other-units"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        gan, key = plan.gan, plan.key("disc_start")
        if not gan.built or not gan.start or gan.start < 2 or gan.counts == 1 or key not in plan.options:
            return
        if gan.counts is None:
            text = f"means generator update {number(gan.start)} or {number(gan.start // 2)}: it is compared with {gan.counter}"
            patch: list[str] = []
        else:
            meant = gan.start_update or 0
            text = f"means generator update {number(int(meant))}: it is compared with {gan.counter}"
            patch = [
                f"{plan.written('disc_start', int(gan.start * gan.counts))}   to start at update {number(gan.start)}"
            ]
        yield self.finding(
            "warn",
            f"disc_start {number(gan.start)} {text}",
            plan,
            "disc_start",
            patch=patch,
            certain=gan.counts is not None,
        )


class ShortGanPhase(LintRule):
    """Almost nothing of the run is left when the GAN starts.

    What it checks: whether at least a twentieth of the run lies after disc_start and its ramp.

    Why it matters: reconstruction gets worse when the GAN starts and takes thousands of steps to recover; a run that ends
    there ends at its worst.

    What to do: start the GAN earlier, or train longer.

    References: criteria of this project, section 2.3
    """

    code = "LNT105"
    name = "short-gan-phase"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        start, updates = plan.gan.start_update, plan.schedule.updates
        if not plan.gan.built or start is None or updates is None or start >= updates:
            return
        left = updates - start - plan.gan.ramp
        if left < SHORT_GAN * updates:
            yield self.finding(
                "warn",
                f"only {number(max(left, 0))} of {number(updates)} steps are left once the GAN is fully on",
                plan,
                "disc_start",
                patch=[plan.written("disc_start", start_fits(plan))],
            )


class UntrainedDiscriminator(LintRule):
    """The generator meets a discriminator that was never trained.

    What it checks: in vaelab's own settings, disc_start above 0 with disc_warmup 0.

    Why it matters: the first gradients of an untrained discriminator are noise that the adaptive weight makes as large as
    the reconstruction's.

    What to do: give the discriminator some steps of its own before, about a tenth of disc_start and at most 2,000.

    References: D14; CompVis/taming-transformers#44
    """

    code = "LNT106"
    name = "untrained-discriminator"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        start = plan.gan.start_update
        if plan.own and plan.gan.built and start and not plan.gan.warmed_up and start < (plan.schedule.updates or 0):
            steps = max(1, min(2000, int(start / 10)))
            yield self.finding(
                "info",
                f"the discriminator is new when the decoder first sees it at step {number(start)}",
                plan,
                "disc_start",
                patch=[plan.written("disc_warmup", steps)],
            )


class WarmupDoesNotFit(LintRule):
    """The warm-up of the learning rate is longer than the run, or its options contradict each other.

    What it checks: the warm-up's length against the run's; in Pyramid-Flow also --warmup_steps with --warmup_epochs 0.

    Why it matters: a warm-up that takes half of the run wastes it, because the rate is small for most of the time; in
    Pyramid-Flow a schedule that does not fit ends the start with a failed assertion.

    What to do: one to five percent of the run is usual, at most some thousand steps.

    References: jy0205/Pyramid-Flow trainer_misc/utils.py:111-128
    """

    code = "LNT107"
    name = "warmup-does-not-fit"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        warmup, updates = plan.schedule.warmup, plan.schedule.updates
        if plan.schedule.contradiction:
            text = plan.schedule.contradiction
            yield self.finding("critical", text, plan, "warmup_steps", patch=plan.schedule.mended)
        elif warmup and updates and warmup > updates / 2:
            severity: Severity = "critical" if warmup > updates and plan.schedule.must_fit else "warn"
            text = f"the warm-up takes {number(warmup)} of {number(updates)} steps"
            yield self.finding(severity, text, plan, "warmup", patch=[f"at most {number(max(updates // 20, 1))} steps"])


class NoCheckpoint(LintRule):
    """The run ends before its first checkpoint.

    What it checks: the interval between checkpoints against the length of the run, where the trainer does not save at the
    end by itself.

    Why it matters: the run leaves nothing behind.

    What to do: save at least ten times in a run.

    References: UNIC-Lab/RadioDiff train_vae.py:275-290
    """

    code = "LNT108"
    name = "no-checkpoint"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        every, updates = plan.schedule.checkpoint_every, plan.schedule.updates
        if every and updates and every > updates:
            yield self.finding(
                "critical",
                f"a checkpoint every {number(every)} steps in a run of {number(updates)}: nothing is ever saved",
                plan,
                "checkpoint_every",
                "updates",
                patch=[plan.written("checkpoint_every", max(updates // 10, 1))],
            )
