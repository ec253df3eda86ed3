"""Several processes as one run: who am I, means over ranks, and the check that all ranks hold equal weights."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from vaelab.errors import TrainError

Shared = TypeVar("Shared")

# A rank that dies must not hold the others for ever: after this time a collective fails and torchrun restarts the run.
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process among ``world`` ones; ``rank`` 0 writes the log and the checkpoints. Plain single process: 0 of 1."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of ``values`` over the ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def highest(self, values: torch.Tensor) -> torch.Tensor:
        """Largest of ``values`` over the ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of ``values`` over the ranks, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank, so that all ranks stop or go on together."""
        if self.world == 1:
            return flag
        return bool(self.total(torch.tensor(float(flag), device=self.device)).item())

    def share(self, value: Shared) -> Shared:
        """The value of rank 0, on every rank."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def check_equal(self, networks: Iterable[tuple[str, torch.nn.Module]]) -> None:
        """Raise TrainError where the ranks' weights differ.

        Two sums of each network (plain and weighted by position) are compared, so swapped weights show too. Found by this
        in public trainers: discriminators that were never synchronised (Pyramid-Flow), DDP that was bypassed (RadioDiff,
        diffusers' AutoencoderKL script, vqgan-training).
        """
        if self.world == 1:
            return
        for name, network in networks:
            sums = checksum(network)
            highest, lowest = sums.clone(), sums.clone()
            dist.all_reduce(highest, op=dist.ReduceOp.MAX)
            dist.all_reduce(lowest, op=dist.ReduceOp.MIN)
            if not torch.equal(highest, lowest):
                raise TrainError(
                    f"the {name}'s weights differ between the {self.world} processes (checksums {lowest.tolist()} to"
                    f" {highest.tolist()}). Their gradients are not synchronised: resume from the last checkpoint and"
                    " report this, it is an error of vaelab's own or of the hardware."
                )


def checksum(network: torch.nn.Module) -> torch.Tensor:
    """Two float64 sums over all parameters, (2,): plain, and weighted by the parameter's number and position."""
    sums = None
    for number, parameter in enumerate(network.parameters(), 1):
        flat = parameter.detach().double().flatten()
        weights = torch.arange(flat.numel(), device=flat.device, dtype=torch.float64).remainder_(997.0).add_(number)
        pair = torch.stack([flat.sum(), (flat * weights).sum()])
        sums = pair if sums is None else sums + pair
    return torch.zeros(2, dtype=torch.float64) if sums is None else sums


def start(device: str) -> Ranks:
    """Join the group that torchrun describes in the environment, or be a single process.

    device: auto, cpu, cuda, cuda:N or mps; under torchrun each process takes the GPU of its local rank.

    Raises TrainError if the device does not exist here.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local_rank)
    if world == 1:
        return Ranks(device=chosen)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        _join("nccl" if chosen.type == "cuda" else "gloo", world)
    return Ranks(dist.get_rank(), dist.get_world_size(), local_rank, chosen)


def _join(backend: str, world: int) -> None:
    """Join the group. torchrun may keep its store over a restart, and a fast process would then read from it the address of
    a process that is dead: on one machine, where all processes know the same count of restarts, each start has names of
    its own. On several machines TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 makes torchrun open a new store."""
    if int(os.environ.get("LOCAL_WORLD_SIZE", "0")) != world:
        dist.init_process_group(backend, timeout=TIMEOUT)
        return
    store, rank, world = next(dist.rendezvous("env://", timeout=TIMEOUT))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own = dist.PrefixStore(f"vaelab/start-{attempt}", store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=world, timeout=TIMEOUT)


def was_restarted() -> bool:
    """Whether torchrun's elastic agent started this process again after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def stop() -> None:
    """Leave the group, at the end of the process.

    The group's object is kept for ever. Its destructor waits for gloo's threads while it holds Python's lock, and one of
    them may need that lock to let go of the last tensors: seen with torch 2.13 where the object died with the Reducer of
    DistributedDataParallel, right after the last reduction.
    """
    if dist.is_available() and dist.is_initialized():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
        dist.destroy_process_group()


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainError(f"run.device is {name!r}; it must be auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainError(
            f"run.device {name} does not exist: torch sees {torch.cuda.device_count()} GPUs here. Use run.device=cpu, or"
            " install a torch build with CUDA."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise TrainError("run.device mps does not exist on this machine; use run.device=cpu")
    return device
