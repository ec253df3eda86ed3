"""The training loop: build, resume, step, log, validate, save, watch. It reads from top to bottom."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from vaelab.config import TrainConfig
from vaelab.config.doubts import doubts
from vaelab.data import Data, Quarantine, open_data, train_batches, val_batches
from vaelab.data.types import Batch
from vaelab.errors import TrainError
from vaelab.evaluation import baselines, in_eval_mode, validate, write_preview
from vaelab.evaluation.pictures import from_uint8
from vaelab.files import read_text
from vaelab.models import Autoencoder
from vaelab.training import distributed
from vaelab.training.build import build_perceptual_network, build_step, derived
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.rollback import changed_options, prescribe
from vaelab.training.run_log import METRICS, RunLog
from vaelab.training.schedule import learning_rate
from vaelab.training.screen import Screen, Silent
from vaelab.training.step import PRECISIONS, Measured
from vaelab.training.watch import Judgement, Watch
from vaelab.training.window import Window

VALIDATION_BATCH = 4
STOPPED = "stopped.txt"
"""Stands in the folder of a run that was stopped on purpose, with the reason."""
# The best checkpoint is chosen by the first of these that is measured: name, whether lower is better.
BEST_BY = (("lpips", True), ("psnr", False))


@dataclass
class Counters:
    """Plain numbers that a checkpoint holds beside the networks and optimizers.

    done: updates made. position: samples consumed over all processes. best: score of the best checkpoint. skipped: updates
    that were not finite. adjusted: section -> option -> value that rollbacks set.
    """

    done: int = 0
    position: int = 0
    rollbacks: int = 0
    best: float | None = None
    skipped: int = 0
    skipped_in_a_row: int = 0
    adjusted: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. reason: ``finished``, ``interrupted`` or ``stopped``; scores: the last validation by its log names;
    watch_share: share of the time that diagnoses took."""

    folder: Path
    reason: str
    done: int
    scores: dict[str, float]
    watch_share: float


class RunEndedError(TrainError):
    """The run ends before its last step, in good order: ``reason`` is one of Outcome's."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Trainer:
    """One run in ``folder``, new or resumed from its newest checkpoint.

    Raises TrainError, DataError, ConfigError or CheckpointError with what to do.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, ranks: Ranks, screen: Screen | None = None, resume: bool = False
    ) -> None:
        self.config, self.folder, self.ranks = config, folder, ranks
        self.screen: Screen = screen if screen is not None and ranks.is_main else Silent()
        self.log: RunLog | None = None
        self.scores: dict[str, float] = {}
        self.baselines: dict[str, dict[str, float]] = {}
        self.signal, self.saved = 0, -1
        self.data: Data = open_data(config.data, config.run.seed)
        # Networks start equal on all ranks; the noise of the posterior must then differ.
        torch.manual_seed(config.run.seed)
        self.perceptual = build_perceptual_network(config, ranks)
        self.step = build_step(config, self.perceptual, ranks)
        torch.manual_seed(config.run.seed + 1 + ranks.rank)

        self.counters, self.window, self.watch = Counters(), Window(ranks.device), Watch(folder, config.run)
        self.quarantine = Quarantine(len(self.data.train), config.data.max_bad_share)
        self.checkpoints = Checkpoints(folder, config.run.keep_checkpoints, ranks)
        latest = self.checkpoints.latest() if resume else None
        begun = ranks.share(self.checkpoints.planned_rollback())
        if latest is not None:
            self._restore(latest)
            if begun is not None:
                self._go_back(begun)

        self.samples_per_step = config.run.batch_size * config.optim.accumulate * ranks.world
        self.steps_per_epoch = max(1, -(-len(self.data.train) // self.samples_per_step))
        if ranks.is_main:
            shapes = derived(config, self.step.autoencoder, self.steps_per_epoch, self.samples_per_step)
            self.log = RunLog(folder, config, self.counters.done, shapes)
        if latest is not None and begun is not None:
            self._event("rollback", **begun["event"])
            self.checkpoints.plan_rollback(None)
        changed = self.log.changed if self.log is not None and latest is not None else ""
        if changed:
            self.screen.say(f"Going on with other settings: {changed}. config.yaml now holds them.", "watch")
        more = {"changed": changed} if changed else {}
        self._event("start" if latest is None else "resume", world=ranks.world, device=str(ranks.device), **more)

    def run(self) -> Outcome:
        """Train to the last step. Ctrl-C and SIGTERM save a checkpoint first."""
        self.screen.start(self.counters.done, self.config.run.steps)
        in_diffusers = filter(None, [self.step.autoencoder.in_diffusers])
        for text in (*self.data.notes, *doubts(self.config, len(self.data.train), self.ranks.world), *in_diffusers):
            self._event("note", text=text)
            self.screen.say(text, "watch")
        reason = "finished"
        try:
            with self._signals():
                self._train()
            self._event("finished")
        except RunEndedError as ended:
            reason = ended.reason
            if reason == "stopped" and self.ranks.is_main:
                (self.folder / STOPPED).write_text(f"after {self.counters.done} steps: {ended}\n", encoding="utf-8")
            self.screen.say(str(ended), "stop")
            self._event(reason, text=str(ended))
        finally:
            self.screen.stop()
            if self.log is not None:
                self.log.close()
        return Outcome(self.folder, reason, self.counters.done, self.scores, self.watch.share)

    def _train(self) -> None:
        run = self.config.run
        while self.counters.done < run.steps:
            batches = train_batches(
                self.data.train,
                self.config.data,
                run.batch_size,
                run.seed,
                position=self.counters.position,
                rank=self.ranks.rank,
                world=self.ranks.world,
                pin=self.ranks.device.type == "cuda",
            )
            with batches:
                # a rollback ends this loop: the batches after it come from a new place
                while self.counters.done < run.steps and self._one_step(batches):
                    pass

    def _one_step(self, batches: Iterator[Batch]) -> bool:
        """One update and all that is due after it; False after a rollback."""
        begun = time.perf_counter()
        taken = list(islice(batches, self.config.optim.accumulate))
        loaded = time.perf_counter()
        self._note_bad_files(taken)
        pixels = [from_uint8(batch.pixels.to(self.ranks.device, non_blocking=True)) for batch in taken]

        step = self.counters.done
        measured = self.step(pixels, step)
        self.counters.done = done = step + 1
        self.counters.position = taken[-1].position + self.config.run.batch_size * self.ranks.world
        names = [name for batch in taken for name in batch.names]
        self.window.add(step, measured, names, time.perf_counter() - begun, loaded - begun)

        run = self.config.run
        last = done == run.steps
        validates = done % run.validate_every == 0 or last
        if step % run.log_every == 0 or validates:
            self._log_row(step, measured, validates)
        if done % run.check_ranks_every == 0:
            self.ranks.check_equal(self.step.networks())
        judgement = self._judge(done)
        if judgement is not None and judgement.critical and run.on_critical != "warn" and not last:
            self._on_critical(judgement)
            return False
        if done % run.checkpoint_every == 0 or last:
            self._save()
        # several ranks must agree, which costs an exchange: only now and then
        if (self.ranks.world == 1 or done % run.log_every == 0) and self.ranks.any(bool(self.signal)):
            if self.saved != done:
                self._save()
            raise RunEndedError(
                "interrupted", f"Interrupted after {done} steps. Go on with: vaelab resume {self.folder}"
            )
        return True

    # -- the row of a step

    def _log_row(self, step: int, measured: Measured, validates: bool) -> None:
        """Check, gather over ranks, write. Apart from checkpoints the only place where the host waits for the device."""
        self._check_finite()
        values = self.window.row(measured, self.ranks)
        values["lr"] = learning_rate(self.config.optim, step, self.config.run.steps)
        if self.step.discriminator is not None:
            values["disc_factor"] = self.step.objective.disc_factor(step)
            values.setdefault("d_weight", 0.0)
            if "disc_loss" in values:
                values["disc_lr"] = self.step.disc_lr(step)
        values["samples_per_second"] = self.samples_per_step / max(values["step_time"], 1e-9)
        if self.ranks.device.type == "cuda":
            values["memory"] = torch.cuda.max_memory_allocated(self.ranks.device) / 2**20
        if validates:
            values |= self._validate(step + 1)
        if self.log is not None:
            self.log.row(step, step // self.steps_per_epoch, values, self.steps_per_epoch)
        self.screen.row(step, self._phase(step), values)
        self.window.clear()

    def _check_finite(self) -> None:
        """Count the steps that were skipped since the last check, name their batches, stop after too many in a row."""
        counters = self.counters
        for skipped, finite in self.window.checked():
            if finite:
                counters.skipped_in_a_row = 0
                continue
            counters.skipped += 1
            counters.skipped_in_a_row += 1
            self._event("non_finite", at=skipped.step, batch=skipped.names, in_a_row=counters.skipped_in_a_row)
            self.screen.say(
                f"step {skipped.step}: a gradient is not finite, the update was skipped. Batch: {', '.join(skipped.names)}",
                "act",
            )
            if counters.skipped_in_a_row >= self.config.optim.max_non_finite:
                raise RunEndedError(
                    "stopped",
                    f"{counters.skipped_in_a_row} steps in a row had gradients that are not finite, the last one at step"
                    f" {skipped.step}. The weights are those of the last good step. Lower optim.lr, or use"
                    " optim.precision=fp32; events.jsonl names the batches.",
                )

    def _phase(self, step: int) -> str:
        loss = self.config.loss
        if self.step.discriminator is None or not self.step.objective.trains_disc(step):
            return "warm-up" if step < self.config.optim.warmup_steps else "VAE only"
        if step < loss.disc_start:
            return "discriminator warm-up"
        return "GAN start" if step < loss.disc_start + loss.disc_ramp else "GAN"

    # -- data, validation, checkpoints

    def _note_bad_files(self, taken: list[Batch]) -> None:
        for batch in taken:
            for bad in self.quarantine.add(batch):
                self._event("quarantined", file=bad.name, reason=bad.reason)
                self.screen.say(f"{bad.name} cannot be decoded and is left out: {bad.reason}", "watch")
        self.quarantine.check()

    def _validate(self, done: int) -> dict[str, float]:
        """Scores on the held-out samples, raw and EMA; previews beside. Rank 0 measures, the others wait."""
        if self.ranks.is_main:
            dtype = PRECISIONS.get(self.config.optim.precision)
            networks: dict[str, Autoencoder] = {"val": self.step.autoencoder}
            if self.step.ema is not None:
                networks["val_ema"] = self.step.ema.network
            self.scores = {}
            # a validation must not change the noise of the steps after it
            with torch.random.fork_rng(devices=[self.ranks.device] if self.ranks.device.type == "cuda" else []):
                for prefix, network in networks.items():
                    scores = validate(network, self._held_out(), self.perceptual, self.ranks.device, dtype)
                    self.scores |= {f"{prefix}/{name}": value for name, value in scores.items() if name != "n"}
                if not self.baselines:
                    self.baselines = baselines(self._held_out(), self.perceptual, self.ranks.device)
                    self._event("baselines", **self.baselines)
                self._preview(done)
        self.ranks.barrier()
        # a score that the data do not define, such as the flicker of single images, is left out
        return {name: value for name, value in self.scores.items() if value == value or name.endswith("psnr")}

    def _held_out(self) -> Iterator[Batch]:
        return val_batches(self.data.val, self.config.data, VALIDATION_BATCH, self.config.data.val_samples)

    def _preview(self, done: int) -> None:
        wanted = self.config.run.preview_samples
        if wanted == 0:
            return
        network = self.step.ema.network if self.step.ema is not None else self.step.autoencoder
        batch = next(val_batches(self.data.val, self.config.data, wanted, wanted))
        x = from_uint8(batch.pixels.to(self.ranks.device))
        with torch.no_grad(), in_eval_mode(network):
            r = network(x, sample=False).x.float()
        write_preview(self.folder / "previews", done, x.cpu(), r.cpu(), batch.names)

    def _save(self, event: bool = True) -> None:
        self._check_finite()
        self.step.check_frozen()
        state = {"counters": vars(self.counters), "watch": self.watch.state_dict(), "window": self.window.state_dict()}
        path = self.checkpoints.save(self.step, self.counters.done, state)
        self.saved = self.counters.done
        if event:
            self._event("checkpoint", path=str(path.relative_to(self.folder)))
        if event and self.ranks.is_main and self._is_best():
            self.checkpoints.mark("best", path)

    def _is_best(self) -> bool:
        """Whether the last validation is the best so far; remembers it."""
        for name, lower in BEST_BY:
            score = self.scores.get(f"val_ema/{name}", self.scores.get(f"val/{name}"))
            if score is None or score != score:
                continue
            best = self.counters.best
            if best is not None and (score >= best if lower else score <= best):
                return False
            self.counters.best = score
            return True
        return False

    def _restore(self, path: Path) -> None:
        state = self.checkpoints.restore(self.step, path)
        self.counters = Counters(**state["counters"])
        self.watch.load_state_dict(state["watch"])
        self.window.load_state_dict(state["window"])
        self._use_adjusted(self.counters.adjusted)

    # -- watching

    def _judge(self, done: int) -> Judgement | None:
        """The diagnosis of the live run, if one is due; equal on all ranks."""
        judgement = self.watch.judge(done) if self.ranks.is_main and self.watch.due(done) else None
        if done % self.config.run.diagnose_every == 0:
            judgement = self.ranks.share(judgement)
        if judgement is None:
            return None
        if judgement.changed:
            self._event("diagnosis", status=judgement.status, headline=judgement.headline, cause=judgement.cause)
            self.screen.say(f"{judgement.status.upper()} at step {done}: {judgement.headline}", judgement.status)
        latest = self.checkpoints.latest()
        if self.ranks.is_main and judgement.healthy and latest is not None:
            self.checkpoints.mark("healthy", latest)
        return judgement

    def _on_critical(self, judgement: Judgement) -> None:
        """Stop, or go back to the last healthy checkpoint with the prescribed change. Raises RunEndedError."""
        run = self.config.run
        what = f"{judgement.status} at step {judgement.step}: {judgement.headline}"
        healthy = self.ranks.share(self.checkpoints.marked("healthy"))
        why = ""
        if run.on_critical == "rollback" and healthy is None:
            why = ", because there is no checkpoint that was judged healthy"
        elif run.on_critical == "rollback" and self.counters.rollbacks >= run.rollback_tries:
            why = f" after {self.counters.rollbacks} rollbacks"
        if run.on_critical == "stop" or healthy is None or why:
            self._save()
            raise RunEndedError("stopped", f"Stopped by the diagnosis{why}. {what}")
        self._roll_back(healthy, judgement)

    def _roll_back(self, healthy: Path, judgement: Judgement) -> None:
        before, rollbacks = self.config, self.counters.rollbacks + 1
        changed, text = prescribe(before, judgement.cause, judgement.values)
        # The batches that led here are not repeated: a bad one among them may have been the cause.
        event = {"came_from": judgement.step, "cause": judgement.cause, "change": text, "attempt": rollbacks}
        plan: dict[str, Any] = {
            "to": healthy.name,
            "position": self.counters.position,
            "rollbacks": rollbacks,
            "adjusted": changed_options(before, changed, self.counters.adjusted),
            "event": {**event, "headline": judgement.headline},
        }
        self.checkpoints.plan_rollback(plan)
        self._go_back(plan)
        if self.log is not None:
            self.log.go_back(self.counters.done)
        self.ranks.barrier()
        self._event("rollback", **plan["event"])
        self.checkpoints.plan_rollback(None)
        tries = f"try {rollbacks} of {self.config.run.rollback_tries}"
        self.screen.say(f"Back to step {self.counters.done} with {text} ({tries}).", "act")

    def _go_back(self, plan: Mapping[str, Any]) -> None:
        """Carry out a planned rollback: afterwards its checkpoint is the newest and holds the new settings and place in the data."""
        self._restore(self.checkpoints.folder / plan["to"])
        self.counters.position, self.counters.rollbacks = plan["position"], plan["rollbacks"]
        self._use_adjusted(plan["adjusted"])
        self._save(event=False)
        if self.ranks.is_main:
            self.checkpoints.discard_after(self.counters.done)
        self.ranks.barrier()

    def _use_adjusted(self, adjusted: dict[str, dict[str, float]]) -> None:
        self.counters.adjusted = adjusted
        for section, options in adjusted.items():
            part = getattr(self.config, section).model_copy(update=options)
            self._adjust(self.config.model_copy(update={section: part}))

    def _adjust(self, config: TrainConfig) -> None:
        self.config = config
        self.step.configure(config.loss, config.optim)

    def _event(self, kind: str, **details: Any) -> None:
        if self.log is not None:
            self.log.event(kind, self.counters.done, **details)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM are taken up after the step; a second one ends the process at once."""

        def take(number: int, frame: Any) -> None:
            if self.signal:
                raise KeyboardInterrupt
            self.signal = number  # nothing more here: the screen may be in the middle of a line

        try:
            before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: the caller handles signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def train(
    config: TrainConfig, folder: Path, screen: Screen | None = None, resume: bool = False, after_stop: bool = False
) -> Outcome:
    """Train ``config`` in ``folder`` and close the process group afterwards.

    resume: go on from the newest checkpoint in ``folder``; without one the run starts anew. Without ``resume`` the folder
    must not hold a run already, except that a process restarted by torchrun's elastic agent always resumes.
    after_stop: go on with a run that was stopped for a reason (by the diagnosis, or by updates that were not finite). Without it
    such a run stays stopped, and a restart by torchrun never undoes it.
    """
    ranks = distributed.start(config.run.device)
    try:
        restarted = distributed.was_restarted()
        resume = resume or restarted
        why = ranks.share(_why_stopped(folder))
        if why and resume:
            if not after_stop or restarted:
                raise TrainError(
                    f"{folder} was stopped {why} Look at it first: vaelab diagnose {folder}. To go on all the same:"
                    f" vaelab resume {folder} --after-stop"
                )
            if ranks.is_main:
                (folder / STOPPED).unlink()
        if ranks.share(not resume and (folder / METRICS).exists()):
            raise TrainError(
                f"{folder} already holds a run. Go on with it: vaelab resume {folder}; or choose another folder with --output."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainError(
                f"cannot write in {folder}: {error.strerror or error}. Choose another folder with --output."
            ) from None
        return Trainer(config, folder, ranks, screen, resume).run()
    finally:
        distributed.stop()


def _why_stopped(folder: Path) -> str:
    """When and why the run in ``folder`` was stopped on purpose; empty if it was not."""
    try:
        return read_text(folder / STOPPED).strip()
    except OSError:
        return ""
