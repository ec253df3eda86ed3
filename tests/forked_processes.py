"""Processes of their own that need not import torch first: forked from one that has, by multiprocessing's fork server.

An import takes five seconds of a processor, a small training one. A forked process is killed, interrupted and joined with others as
any other. What only a fresh interpreter shows (its hash seed, its command line) is left to the tests that start one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import weakref
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from small_runs import environment

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["vaelab.training", "vaelab.models", "vaelab.data", "matplotlib.backends.backend_agg"])


class Screen:
    """Standard input, output and error of a forked process: a descriptor that the parent may close once the process was started."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any]]:
        return _screen, (DupFd(self.descriptor),)


def _screen(sent: Any) -> Screen:
    return Screen(sent.detach())


class Forked:
    """One process that calls ``target``; exit codes as subprocess has them. It does not outlive this object.

    terminal: descriptor of its pseudo-terminal; without one it writes to a file, see ``output``.
    """

    def __init__(
        self, target: Callable[..., object], *arguments: Any, environ: dict[str, str] | None = None, terminal: int = -1
    ) -> None:
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115 - open as long as this object lives
        screen = Screen(self._output.fileno() if terminal < 0 else terminal)
        self.process = _CONTEXT.Process(target=_begin, args=(screen, environ or environment(), target, arguments))
        self.process.start()
        weakref.finalize(self, self.process.kill)
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def output(self) -> str:
        """What it has written so far."""
        return Path(self._output.name).read_text(encoding="utf-8", errors="replace")


class ForkedRanks:
    """Two ranks of one run over gloo, in the environment that torchrun would give them."""

    def __init__(self, target: Callable[..., object], *arguments: Any) -> None:
        self._store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        group = {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self._store.port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0",
        }  # fmt: skip
        self.ranks = [
            Forked(target, *arguments, environ={**environment(), **group, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(2)
        ]

    def poll(self) -> int | None:
        """None while one works, else the first exit status that is not 0."""
        codes = [rank.poll() for rank in self.ranks]
        return None if None in codes else next(filter(None, codes), 0)

    def kill(self) -> None:
        for rank in self.ranks:
            rank.send_signal(signal.SIGKILL)
        for rank in self.ranks:
            rank.wait()

    def wait(self) -> int:
        """As torchrun: one that fails ends the other."""
        left = {rank.process.sentinel: rank for rank in self.ranks}
        while left:
            for sentinel in wait(list(left)):
                if left.pop(sentinel).wait():  # type: ignore[call-overload]
                    codes = [rank.poll() for rank in self.ranks]
                    self.kill()
                    return next(filter(None, codes))
        return 0

    @property
    def output(self) -> str:
        return "\n".join(rank.output for rank in self.ranks)


def vaelab(*arguments: str | Path) -> None:
    """The vaelab command; give it to the classes above."""
    from vaelab.cli import main

    sys.argv = ["vaelab", *map(str, arguments)]
    main()


def torchrun(restarts: int, *arguments: str | Path) -> None:
    """What ``torchrun --standalone --nproc-per-node 2 -m vaelab ...`` does, with forked workers; give it to :class:`Forked`."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=2, max_restarts=restarts, run_id="test", start_method="fork",
        rdzv_backend="c10d", rdzv_endpoint="localhost:0",
    )  # fmt: skip
    elastic_launch(config, vaelab)(*arguments)


def finished(process: Forked | ForkedRanks) -> str:
    """What it wrote, once it has ended well."""
    code = process.wait()
    assert code == 0, (code, process.output)
    return process.output


def _begin(screen: Screen, environ: dict[str, str], target: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    for number in (0, 1, 2):
        os.dup2(screen.descriptor, number)
    os.environ.clear()
    os.environ.update(environ)
    torch.set_num_threads(1)
    np.random.seed()  # as a fresh interpreter: nothing may depend on it; random does this itself after a fork
    target(*arguments)
