"""What is dropped in a step follows from the seed and the step's number alone."""

from __future__ import annotations

import torch

_SEED_STRIDE = 0x9E37_79B9_7F4A_7C15  # odd and large: no two short trainings share a step's seed
_RANK_STRIDE = 0x2545_F491_4F6C_DD1D  # processes drop different connections


def seed_step(seed: int, step: int, *, rank: int = 0) -> None:
    """Seed torch for one step, so that a training that goes on needs no generator's state.

    Args:
        seed: of the training.
        step: its number, or whatever else tells it from all others of the training.
        rank: of the process.

    Example:
        >>> seed_step(0, 7)
        >>> first = torch.rand(2)
        >>> seed_step(0, 7)
        >>> bool((torch.rand(2) == first).all())
        True
    """
    number = (seed * _SEED_STRIDE + rank * _RANK_STRIDE + step) % 2**63
    # `torch.manual_seed` would also queue the seed for each kind of device that is not in use, with a stack trace for
    # each, in every step.
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
