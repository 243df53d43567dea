"""A distribution over the networks of a space, which a search by gradient learns: independent decisions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from allometry.base import NonFiniteLossError
from allometry.nas.encodings import ABSENT
from allometry.nas.gradient.choices import Choices, Options

Logs = list[npt.NDArray[np.float64]]


class Distribution:
    """The architecture parameters: logits of the options of every decision.

    Args:
        choices: what is decided.
        spread: standard deviation of the first logits.
        seed: of them.
        device: where they are.

    Attributes:
        logits: float32, [options] for each decision.

    Example:
        >>> from allometry.nas.gradient import choices_of
        >>> from allometry.catalog import find_space
        >>> even = Distribution(choices_of(find_space("fbnet")))
        >>> even.mode()[:3], round(even.entropy(), 3)  # 22 blocks of 8, five depths of 4 and one of 2
        ((0, 0, 0), 53.372)
    """

    def __init__(
        self,
        choices: Choices,
        *,
        spread: float = 0.0,
        seed: int = 0,
        device: torch.device = torch.device("cpu"),
    ) -> None:
        random = np.random.default_rng([seed, 0])
        self.choices = choices
        self.logits = tuple(
            torch.tensor(spread * random.standard_normal(len(decision.options)), dtype=torch.float32)
            .to(device)
            .requires_grad_()
            for decision in choices.decisions
        )

    def probabilities(self) -> tuple[Tensor, ...]:
        """Of each decision's options, [options] each; differentiable."""
        return tuple(logits.softmax(0) for logits in self.logits)

    def log_probabilities(self) -> Logs:
        """The logarithms of the same, in double precision, as arrays.

        Raises:
            NonFiniteLossError: an architecture parameter became infinite or not a number.
        """
        sizes = [len(logits) for logits in self.logits]
        # All at once: on a GPU every transfer waits.
        plain = torch.cat([logits.detach() for logits in self.logits]).double().cpu().numpy()
        if not np.isfinite(plain).all():
            raise NonFiniteLossError(
                "An architecture parameter became infinite or not a number; the last checkpoint is kept. Try a lower "
                "learning rate of the architecture, or look whether the cost is a number everywhere."
            )
        parts = np.split(plain, np.cumsum(sizes)[:-1])
        return [part - np.logaddexp.reduce(part) for part in parts]

    def entropy(self) -> float:
        """Of all decisions together, in nats: 0 where everything is settled."""
        return float(sum(-(np.exp(logs) * logs).sum() for logs in self.log_probabilities()))

    def mode(self) -> tuple[int, ...]:
        """The most probable option of every decision."""
        return tuple(int(logs.argmax()) for logs in self.log_probabilities())

    def draw(self, number: int, random: np.random.Generator, *, flatness: float = 1.0) -> Options:
        """So many members, as numbers of options, [N, decisions].

        Args:
            number: of members; one may come twice.
            random: where chance comes from.
            flatness: what the logits are divided by; above 1, unlikely options are drawn more often.
        """
        columns = [
            (logs / flatness + random.gumbel(size=(number, len(logs)))).argmax(1)
            for logs in self.log_probabilities()
        ]
        return np.stack(columns, axis=1)

    def scores(self, options: Options) -> npt.NDArray[np.float64]:
        """How probable members are: the logarithm of the probability of their decisions, [N].

        What a member's depths leave out counts as if it were decided best. Else short networks, of which less is
        decided, would count as more probable than all long ones; so the mode has the highest score.
        """
        absent = self.choices.encodings(options) == ABSENT
        total = np.zeros(len(options))
        for place, (decision, logs) in enumerate(
            zip(self.choices.decisions, self.log_probabilities(), strict=True)
        ):
            total += np.where(absent[:, decision.choices[0]], logs.max(), logs[options[:, place]])
        return total

    def by_choice(self) -> dict[str, tuple[float, ...]]:
        """The probability of each choice's options, whatever is decided together with it."""
        probabilities: dict[str, tuple[float, ...]] = {}
        for decision, logs in zip(self.choices.decisions, self.log_probabilities(), strict=True):
            numbers = np.array(decision.options)
            for place, number in enumerate(decision.choices):
                choice = self.choices.space.choices[number]
                probabilities[choice.name] = tuple(
                    float(np.exp(logs)[numbers[:, place] == option].sum())
                    for option in range(len(choice.options))
                )
        return probabilities
