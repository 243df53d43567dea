"""Several processes that train one network together, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from allometry.base import InputError

_PATIENCE = timedelta(hours=6)  # the first process may be checking a million images while the others wait


@dataclass(frozen=True, slots=True)
class DistContext:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; the first one leads: it alone writes and tells.
        count: how many there are.
        local: its number on its machine, which is that of its GPU.

    Example:
        >>> ALONE.leads, ALONE.any(True), ALONE.shared("word")
        (True, True, 'word')
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.alone:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.alone:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        found = torch.tensor([int(flag)], device=device)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found.item())

    def shared(self, value: Any) -> Any:  # noqa: ANN401 - whatever the leader says
        """The leader's value, in every process. All must call it."""
        if self.alone:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def spread(self, tensors: Iterator[Tensor]) -> None:
        """Overwrite the tensors of every process by the leader's."""
        if not self.alone:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


ALONE = DistContext()
"""The only process."""


@contextmanager
def join(device: torch.device, environment: Mapping[str, str] = os.environ) -> Iterator[DistContext]:
    """The processes that `torchrun` has started, joined by nccl on GPUs and gloo on CPUs; else this one alone.

    Raises:
        InputError: `torchrun`'s variables are not whole.

    Example:
        >>> with join(torch.device("cpu"), {}) as ranks:
        ...     print(ranks)
        DistContext(rank=0, count=1, local=0)
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    try:
        ranks = DistContext(*(int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except KeyError as error:
        raise InputError(
            f"WORLD_SIZE is set but {error} is not; start several processes with "
            "`torchrun --nproc-per-node=2 -m allometry train ...`."
        ) from error
    if dist.is_initialized():
        yield ranks
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what is shared between processes passes through the current device
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
