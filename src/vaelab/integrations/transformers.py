"""A callback for the Trainer of Hugging Face transformers.

    Trainer(..., callbacks=[VaelabCallback(path="runs/first")])

It records what the Trainer logs every ``logging_steps``, metrics that a subclass gives to ``self.log`` among them, and the
settings of the run.
"""

from __future__ import annotations

from typing import Any, Literal

import torch.distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vaelab.monitor import Monitor


class VaelabCallback(TrainerCallback):
    """Watches a training. ``monitor`` is the Monitor: ``monitor.status``, ``monitor.diagnosis``, ``monitor.report(path)``.

    monitor: one of your own; else one is made with ``options``, the arguments of ``vaelab.Monitor`` (path, callbacks, alerts
    ...). stop_on: training ends when the status is ``stop`` (or at least ``act``); None: it never does. For it the ranks agree
    at each logged step. After a resume the rows before it are taken from the Trainer's own checkpoint.
    """

    def __init__(
        self, monitor: Monitor | None = None, *, stop_on: Literal["act", "stop"] | None = None, **options: Any
    ) -> None:
        self.monitor = monitor or Monitor(**options)
        self.stop_on = stop_on

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.monitor.declare(
            args.to_dict(),
            total_steps=state.max_steps,
            batch_size=args.train_batch_size * args.gradient_accumulation_steps,
            opt_betas=[args.adam_beta1, args.adam_beta2],
        )
        if self.monitor.path is None or not self.monitor.path.exists():
            for row in state.log_history:
                self._log(int(row["step"]), row)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self._log(state.global_step, logs or {})
        if self.stop_on:
            bad = self.monitor.status == "stop" or self.monitor.status == self.stop_on
            control.should_training_stop |= _any_rank(bad, args.device)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.monitor.wait()

    def _log(self, step: int, row: dict[str, Any]) -> None:
        if "train_runtime" not in row:  # the last one sums the whole run up
            self.monitor.log(step, row)


def _any_rank(value: bool, device: torch.device) -> bool:
    """Whether ``value`` is true on any rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    votes = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
    return bool(votes.item())
