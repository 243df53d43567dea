"""Several processes that train one network together, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as torch_dist
from torch import Tensor

from allometry.base import InputError
from allometry.base.reading import UnreadableError, parse_integer
from allometry.base.text import shown

_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_PATIENCE = timedelta(hours=6)  # the first process may be checking a million images while the others wait


@dataclass(frozen=True, slots=True)
class DistContext:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; the first one leads: it alone writes and tells.
        world_size: how many there are.
        local: its number on its machine, which is that of its GPU.

    Example:
        >>> ALONE.is_main, ALONE.any(True), ALONE.broadcast_object("word")
        (True, True, 'word')
    """

    rank: int = 0
    world_size: int = 1
    local: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.alone:
            return tensor
        total = tensor.clone()
        torch_dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.alone:
            return flag
        device = "cuda" if torch_dist.get_backend() == "nccl" else "cpu"
        flags = torch.tensor([int(flag)], device=device)
        torch_dist.all_reduce(flags, op=torch_dist.ReduceOp.MAX)
        return bool(flags.item())

    def broadcast_object(self, value: Any) -> Any:  # noqa: ANN401 - whatever the leader says
        """The leader's value, in every process. All must call it."""
        if self.alone:
            return value
        held = [value]
        torch_dist.broadcast_object_list(held, src=0)
        return held[0]

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors of every process by the leader's."""
        if not self.alone:
            for tensor in tensors:
                torch_dist.broadcast(tensor, src=0)


ALONE = DistContext()
"""The only process."""
_BUCKET = 2**23  # gradients that travel together, in numbers: few journeys, little memory


def average_gradients(dist: DistContext, parameters: Iterable[Tensor]) -> None:
    """Replace gradients by their mean over all processes, which must have taken the same path through the network.

    `DistributedDataParallel` would do so while the gradients come about, but only where every step uses every weight
    in one pass: not where a step is several subnets, or one path of many.
    """
    if dist.alone:
        return
    bucket: list[Tensor] = []
    size = 0
    for gradient in (parameter.grad for parameter in parameters):
        if gradient is None:
            continue
        bucket.append(gradient)
        size += gradient.numel()
        if size >= _BUCKET:
            _average(dist, bucket)
            bucket, size = [], 0
    if bucket:
        _average(dist, bucket)


def _average(dist: DistContext, gradients: list[Tensor]) -> None:
    mean = dist.all_reduce(torch.cat([gradient.flatten() for gradient in gradients])) / dist.world_size
    parts = torch.split(mean, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def is_main_process(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the process that tells the result, of those that `torchrun` has started.

    Example:
        >>> is_main_process({}), is_main_process({"RANK": "1"})
        (True, False)
    """
    return environment.get("RANK", "0") == "0"


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those of its machine that `torchrun` has started; 0 where it is alone.

    Raises:
        InputError: the variable is no such number.

    Example:
        >>> local_rank({}), local_rank({"LOCAL_RANK": "1"})
        (0, 1)
    """
    return _number_in(environment, "LOCAL_RANK", usual="0")


def _number_in(environment: Mapping[str, str], name: str, *, minimum: int = 0, usual: str = "") -> int:
    text = environment.get(name, usual)
    try:
        number = parse_integer(text)
    except UnreadableError:
        number = -1
    if number < minimum:
        raise InputError(
            f"The environment variable {name}, which `torchrun` sets, must be an integer of at least {minimum}, not "
            f"{shown(text)}."
        )
    return number


@contextmanager
def join(device: torch.device, environment: Mapping[str, str] = os.environ) -> Iterator[DistContext]:
    """The processes that `torchrun` has started, joined by nccl on GPUs and gloo on CPUs; else this one alone.

    Raises:
        InputError: `torchrun`'s variables are not whole.

    Example:
        >>> with join(torch.device("cpu"), {}) as dist:
        ...     print(dist)
        DistContext(rank=0, world_size=1, local=0)
    """
    if _number_in(environment, "WORLD_SIZE", minimum=1, usual="1") == 1:
        yield ALONE
        return
    missing = next((name for name in _NUMBERS if name not in environment), None)
    if missing is not None:
        raise InputError(
            f"WORLD_SIZE is set but {missing!r} is not; start several processes with "
            "`torchrun --nproc-per-node=2 -m allometry train ...`."
        )
    rank, world_size, local = (_number_in(environment, name) for name in _NUMBERS)
    if rank >= world_size:
        raise InputError(
            f"RANK must be below WORLD_SIZE, which is {world_size}, not {rank}; `torchrun` sets both."
        )
    dist = DistContext(rank, world_size, local)
    if torch_dist.is_initialized():
        yield dist
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what is shared between processes passes through the current device
    try:
        torch_dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    except ValueError as error:  # MASTER_ADDR or MASTER_PORT is missing, or none
        raise InputError(
            f"The processes cannot be joined: {error}. Start them with `torchrun --nproc-per-node=2 -m allometry train "
            "...`, which sets all variables."
        ) from error
    try:
        yield dist
    finally:
        torch_dist.destroy_process_group()
