"""What a person sees while a run trains: a progress bar, a line now and then, verdicts as they change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vaelab.report.layout import headline

if TYPE_CHECKING:
    from vaelab.training.ending import Ending
    from vaelab.training.trainer import Outcome

COLOURS = {"healthy": "green", "watch": "yellow", "act": "red", "stop": "bold red", "cannot-tell": "dim"}
SHOWN = ("rec_loss", "perceptual_loss", "kl_nats_per_element", "d_weight", "disc_loss", "val/psnr")


class Screen(Protocol):
    """Where the trainer says what it does."""

    def start(self, done: int, total: int) -> None: ...

    def row(self, step: int, phase: str, values: Mapping[str, float]) -> None: ...

    def say(self, text: str, status: str = "") -> None: ...

    def stop(self) -> None: ...


class Silent:
    """Says nothing: other ranks, and tests."""

    def start(self, done: int, total: int) -> None:
        pass

    def row(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        pass

    def say(self, text: str, status: str = "") -> None:
        pass

    def stop(self) -> None:
        pass


class Terminal:
    """A rich progress bar on a terminal; plain lines where the output is a file or a pipe."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.live = self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.live,
        )
        self.total = 0
        self.next_line = 0

    def start(self, done: int, total: int) -> None:
        self.total, self.next_line = total, done
        self.task = self.progress.add_task("train", total=total, completed=done)
        self.progress.start()

    def row(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        self.progress.update(self.task, completed=step + 1, description=f"train ({phase})")
        if step >= self.next_line or "val/psnr" in values:
            shown = "  ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
            self.say(f"step {step:>{len(str(self.total))}}  {shown}  {self._pace(step, values.get('step_time'))}")
            self.next_line = step + max(1, self.total // 20)

    def _pace(self, step: int, seconds: float | None) -> str:
        """Seconds a step, and at that pace the time to the end."""
        if seconds is None:
            return ""
        left = timedelta(seconds=round(seconds * (self.total - step - 1)))
        return f"{seconds:.2g} s/step, {left} left"

    def say(self, text: str, status: str = "") -> None:
        style = COLOURS.get(status, "")
        self.progress.console.print(f"[{style}]{escape(text)}[/]" if style else escape(text), soft_wrap=True)

    def stop(self) -> None:
        self.progress.stop()

    def end(self, outcome: Outcome, ending: Ending) -> None:
        """The last screen: the validation table, the verdict, and where things are."""
        print = self.console.print
        if ending.table:
            print()
            print(escape(ending.table), soft_wrap=True)
        if ending.diagnosis is not None:
            status = ending.diagnosis.status
            print(f"[{COLOURS.get(status, '')}]{status.upper()}[/]  {escape(headline(ending.diagnosis))}")
        folder = outcome.folder
        print(
            f"\n{outcome.done} of {self.total} steps ({outcome.reason}). The diagnoses took {outcome.watch_share:.2%} of the time."
        )
        for what, path in (
            ("report", "report/report.html"),
            ("previews", "previews"),
            ("validation", "validation.md"),
            ("checkpoints", "checkpoints"),
        ):
            if (folder / path).exists():
                print(f"  {what:<12}{folder / path}", soft_wrap=True)
        print(f"  {'diagnose':<12}vaelab diagnose {folder}", soft_wrap=True)
