"""A tracker for Accelerate.

accelerator = Accelerator(log_with=VaelabTracker(path="runs/first"))
accelerator.init_trackers("my run", config=vars(args))
accelerator.log({"rec_loss": rec, "kl_loss": kl}, step=step)
status = accelerator.get_tracker("vaelab").status
"""

from __future__ import annotations

from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from vaelab.monitor import Monitor


class VaelabTracker(GeneralTracker):
    """Records what ``accelerator.log`` is given, on the main process.

    monitor: one of your own; else one is made with ``options``, the arguments of ``vaelab.Monitor`` (path, callbacks, alerts
    ...). ``accelerator.get_tracker("vaelab")`` gives this object; ``tracker`` is the Monitor.
    """

    name = "vaelab"
    requires_logging_directory = False

    def __init__(self, monitor: Monitor | None = None, **options: Any) -> None:
        super().__init__()
        self.monitor = monitor or Monitor(**options)
        self._step = -1

    @property
    def tracker(self) -> Monitor:
        return self.monitor

    @property
    def status(self) -> str:
        """The status on the main process; ``cannot-tell`` on the others."""
        return self.monitor.status

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.monitor.declare(values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        """Without a step the calls are counted."""
        self._step = self._step + 1 if step is None else int(step)
        self.monitor.log(self._step, values)

    @on_main_process
    def finish(self) -> None:
        self.monitor.close()
