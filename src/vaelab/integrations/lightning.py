"""A callback for Lightning, the package ``lightning`` as well as ``pytorch_lightning``.

    Trainer(callbacks=[VaelabCallback(path="runs/first")])

It records what the module logs, as often as the trainer's loggers (``log_every_n_steps``) and under the same steps, the
settings of the module and the trainer, and the shape and range of the input.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Literal

from vaelab.errors import VaelabError
from vaelab.integrations.inputs import input_of
from vaelab.monitor import Monitor

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _callback_classes() -> tuple[type, ...]:
    """Callback of each package that the program has imported; of one that is installed if it has imported none yet."""
    used = [name for name in PACKAGES if name in sys.modules]
    installed = [name for name in PACKAGES if importlib.util.find_spec(name.partition(".")[0])]
    if not installed:
        raise VaelabError("VaelabCallback needs Lightning: pip install lightning.")
    return tuple(importlib.import_module(name).Callback for name in used or installed[:1])


_Base: Any = object if TYPE_CHECKING else type("_Base", _callback_classes(), {})


class VaelabCallback(_Base):
    """Watches a fit. ``monitor`` is the Monitor: ``monitor.status``, ``monitor.diagnosis``, ``monitor.report(path)``.

    monitor: one of your own; else one is made with ``options``, the arguments of ``vaelab.Monitor`` (path, callbacks, alerts
    ...). stop_on: the fit ends on all ranks when the status is ``stop`` (or at least ``act``); None: it never does. For it the
    ranks agree at each logged step.
    """

    def __init__(
        self, monitor: Monitor | None = None, *, stop_on: Literal["act", "stop"] | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.monitor = monitor or Monitor(**options)
        self.stop_on = stop_on
        self._seen: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        steps = trainer.estimated_stepping_batches
        if trainer.max_steps == steps:  # counts the steps of each optimizer
            steps //= max(1, len(trainer.optimizers))
        self.monitor.declare(
            dict(pl_module.hparams),
            total_steps=None if steps == float("inf") else int(steps),
            accumulate_grad_batches=trainer.accumulate_grad_batches,
            clip_grad=trainer.gradient_clip_val,
        )

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._seen = dict(trainer.logged_metrics)  # Lightning copies the means of the epoch before once more

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        accumulates = pl_module.automatic_optimization and (batch_idx + 1) % trainer.accumulate_grad_batches
        due = trainer.log_every_n_steps and (self._step(trainer) + 1) % trainer.log_every_n_steps == 0
        if not due or (accumulates and not trainer.is_last_batch):
            return
        if (x := input_of(batch)) is not None:
            self.monitor.observe(x=x)
        self._log(trainer)
        if self.stop_on:
            bad = self.monitor.status == "stop" or self.monitor.status == self.stop_on
            trainer.should_stop |= trainer.strategy.reduce_boolean_decision(bad, all=False)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._log(trainer, back=1)  # the epoch's means belong to its last step

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self._log(trainer)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self.monitor.wait()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.monitor.wait()

    def state_dict(self) -> dict[str, Any]:
        return self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.monitor.load_state_dict(state_dict)

    def _log(self, trainer: Any, back: int = 0) -> None:
        """What was logged since the last call: Lightning keeps the last value of each metric, and makes a new tensor for a
        new one."""
        logged = dict(trainer.logged_metrics)
        fresh = {name: value for name, value in logged.items() if self._seen.get(name) is not value}
        self._seen = logged
        if fresh:
            self.monitor.log(self._step(trainer) - back, {"epoch": trainer.current_epoch, **fresh})

    @staticmethod
    def _step(trainer: Any) -> int:
        """The step that Lightning's loggers write: batches that were stepped on, however many optimizers there are."""
        return int(getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step))
