"""Work on many logs, in one process or on all cores: results in order, and one log that fails never hides the others."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vaelab.errors import LogError, VaelabError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FEWEST_TASKS = 4
LEAST_SECONDS = 2.0  # of work; starting the processes and handing over their results takes a good part of one


Task = TypeVar("Task")
Result = TypeVar("Result")


def cores_for(tasks: int, seconds: float) -> int:
    """Processes that pay for so many tasks, which would take one process about ``seconds`` in all."""
    if tasks < FEWEST_TASKS or seconds < LEAST_SECONDS or os.environ.get("VAELAB_DEBUG"):
        return 1
    return min(tasks, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def each(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    name: Callable[[Task], str],
    processes: int = 1,
    done: Callable[[Task], object] = lambda task: None,
) -> list[Result | LogError]:
    """``work`` on each task, in the order of ``tasks``; a LogError in place of the result of one that failed in any way.

    name: of the log, for that error. With several processes, all these and the results are pickled. done: called after each
    task. Raises other errors
    of vaelab's own kind (a wrong option is wrong for all logs), KeyboardInterrupt.
    """
    guarded = _Guarded(work, name)
    results: dict[int, Result | VaelabError] = {}
    for number, result in _in_processes(guarded, tasks, processes) if processes > 1 else _here(guarded, tasks):
        if isinstance(result, VaelabError) and not isinstance(result, LogError):
            raise result
        results[number] = result
        done(tasks[number])
    return [results[number] for number in range(len(tasks))]  # type: ignore[misc]


class _Guarded:
    """``work`` that returns its error."""

    def __init__(self, work: Callable[[Any], Any], name: Callable[[Any], str]) -> None:
        self.work, self.name = work, name

    def __call__(self, task: Any) -> Any:
        try:
            return self.work(task)
        except VaelabError as error:
            return error
        except MemoryError:
            return LogError(f"{self.name(task)} does not fit into memory (its values take about as much as the file).")
        except Exception as error:
            if os.environ.get("VAELAB_DEBUG"):
                raise
            return own_error(self.name(task), error)


def own_error(name: str, error: Exception) -> LogError:
    """What to say of one log among others at which vaelab itself fails."""
    return LogError(
        f"{name} was left out, an error of vaelab's own ({type(error).__name__}: {error}): please report it with the log."
    )


def _here(work: _Guarded, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    return ((number, work(task)) for number, task in enumerate(tasks))


def _in_processes(work: _Guarded, tasks: Sequence[Any], processes: int) -> Iterator[tuple[int, Any]]:
    """``(number of the task, result)`` as they come. A process that dies costs the task that it was at, and is replaced."""
    import multiprocessing  # for one log it would be a part of the time
    from multiprocessing.connection import Connection, wait

    # a fork has everything imported; elsewhere it is not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    workers: dict[Connection, Any] = {}
    busy: dict[Connection, int] = {}
    left = iter(range(len(tasks)))

    def give(channel: Connection | None) -> None:
        """The next task, if there is one, to a worker or, where there is None, to a new one."""
        number = next(left, None)
        if number is None:
            return
        if channel is None:
            channel, other = context.Pipe()
            workers[channel] = context.Process(target=_serve, args=(work, other), daemon=True)
            workers[channel].start()
            other.close()
        busy[channel] = number
        channel.send(tasks[number])

    try:
        for _ in range(processes):
            give(None)
        while busy:
            for channel in wait(list(busy)):
                assert isinstance(channel, Connection)
                number = busy.pop(channel)
                try:
                    result = channel.recv()
                    give(channel)
                except (EOFError, OSError):
                    result = LogError(
                        f"{work.name(tasks[number])} was left out: the process that was at it ended (out of memory?)."
                    )
                    give(None)
                yield number, result
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.join()


def _serve(work: _Guarded, channel: Connection) -> None:
    """Work on what comes through ``channel`` until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    while True:
        try:
            task = channel.recv()
        except EOFError:
            return
        result = work(task)
        try:
            channel.send(result)
        except (TypeError, AttributeError, ValueError, MemoryError) as error:  # it cannot be pickled
            channel.send(own_error(work.name(task), error))
