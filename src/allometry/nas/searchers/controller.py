"""MnasNet's controller: a recurrent policy that draws networks of a space and learns from what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from allometry.arch import Space
from allometry.base import InputError
from allometry.base.checks import check_fields
from allometry.nas.encodings import ABSENT, Encoding, Encodings, Values, cleared
from allometry.nas.searchers.base import SEARCHERS, NamedSearcher


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerConfig:
    """How the policy learns. The paper prints none of these numbers.

    Attributes:
        hidden: units of the recurrent layer.
        learning_rate: of Adam.
        clip: of the ratio of probabilities, from 1.
        passes: over the encodings of one lesson.
        entropy: weight of the policy's entropy, which keeps it from settling early.
        memory: fraction of the old baseline that stays with each lesson.

    Raises:
        InputError: a number is out of its range.

    Example:
        >>> ControllerConfig(hidden=32).passes
        6
        >>> ControllerConfig(memory=1.0)
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: memory of a controller must be from 0 to below 1, ...
    """

    hidden: int = 64
    learning_rate: float = 5e-3
    clip: float = 0.2
    passes: int = 6
    entropy: float = 0.01
    memory: float = 0.8

    def __post_init__(self) -> None:
        check_fields(self)
        if self.hidden < 1 or self.passes < 1 or not self.learning_rate > 0 or not self.clip > 0:
            raise InputError(
                "hidden and passes of a controller must be at least 1, learning_rate and clip above 0."
            )
        if not 0 <= self.memory < 1 or not self.entropy >= 0:
            raise InputError("memory of a controller must be from 0 to below 1, and entropy not negative.")


class Controller:
    """Draws networks, a decision after the other, each knowing those before; rewards make what was good likelier.

    Args:
        space: to draw from.
        seed: of the policy's first weights, and of all that it draws.
        settings: how it learns.

    Source: MnasNet (Tan et al. 2019), section 3.2: a recurrent network, equation 5, by proximal policy optimization
    (Schulman et al. 2017).

    Example:
        >>> from allometry.catalog import find_space
        >>> controller = Controller(find_space("ofa-mobilenetv3-1.0"), seed=0)
        >>> encodings = controller.draw(4)
        >>> controller.learn(encodings, np.array([0.1, 0.9, 0.5, 0.5]))
        >>> encodings.shape
        (4, 46)
    """

    def __init__(
        self, space: Space, *, seed: int = 0, settings: ControllerConfig = ControllerConfig()
    ) -> None:
        self.space, self.settings = space, settings
        self._order = [
            space.choices.index(choice)
            for choice in (*space.layout.depth_choices, *space.layout.other_choices)
        ]
        self._random = torch.Generator().manual_seed(seed)
        sizes = [len(space.choices[place].options) for place in self._order]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._policy = _Policy(sizes, settings.hidden)
        self._optimizer = torch.optim.Adam(self._policy.parameters(), lr=settings.learning_rate)
        self._baseline: float | None = None

    def draw(self, number: int) -> Encodings:
        """So many networks by the policy as it is now, as encodings."""
        encodings = np.zeros((number, len(self._order)), np.int8)
        depth_choices = len(self.space.layout.depth_choices)
        with torch.no_grad():
            state = self._policy.begin(number)
            for step, place in enumerate(self._order):
                if step == depth_choices:  # from here on it is known which layers there are
                    absent = cleared(self.space, encodings) == ABSENT
                logits, state = self._policy.step(step, state)
                chosen = torch.multinomial(logits.softmax(1), 1, generator=self._random)[:, 0]
                encodings[:, place] = chosen.numpy()
                if step >= depth_choices:
                    encodings[absent[:, place], place] = ABSENT
                state = self._policy.remember(
                    step, torch.from_numpy(encodings[:, place].astype(np.int64)), state
                )
        return encodings

    def learn(self, encodings: Encodings, rewards: npt.NDArray[np.floating]) -> None:
        """Make the better of these likelier than the worse.

        Args:
            encodings: that were drawn, [N, choices].
            rewards: of each; minus infinity for what is worth nothing at all counts as the worst of the rest.

        Raises:
            InputError: there are not as many rewards as encodings, or one is not a number.
        """
        rewards = np.asarray(rewards, np.float64).copy()
        if rewards.shape != (len(encodings),) or np.isnan(rewards).any():
            raise InputError(
                f"A controller learns from one number for each of {len(encodings)} rows, not {rewards!r}."
            )
        known = rewards[np.isfinite(rewards)]
        if not len(known):
            return
        rewards[~np.isfinite(rewards)] = known.min()
        mean, memory = float(rewards.mean()), self.settings.memory
        self._baseline = mean if self._baseline is None else memory * self._baseline + (1 - memory) * mean
        spread = max(float(rewards.std()), 1e-8)
        advantage = torch.tensor((rewards - self._baseline) / spread, dtype=torch.float32)
        options = torch.from_numpy(encodings[:, self._order].astype(np.int64))
        with torch.no_grad():
            before, _ = self._policy.probabilities(options)
        for _ in range(self.settings.passes):
            now, entropy = self._policy.probabilities(options)
            ratio = (now - before).exp()
            clipped = ratio.clamp(1 - self.settings.clip, 1 + self.settings.clip)
            gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
            self._optimizer.zero_grad()
            (-gain - self.settings.entropy * entropy).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._policy.parameters(), 1.0)
            self._optimizer.step()


class _Policy(nn.Module):
    """A recurrent cell; for each choice the logits of its options, and what it is told of the option that was taken."""

    def __init__(self, sizes: list[int], hidden: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(hidden, hidden)
        self.first = nn.Parameter(torch.zeros(hidden))
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)
        self.words = nn.ModuleList(
            nn.Embedding(size + 1, hidden) for size in sizes
        )  # the first is of nothing
        for head in self.heads:
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def begin(self, number: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The first word, and an empty memory."""
        nothing = torch.zeros(number, self.first.numel())
        return self.first.expand(number, -1), (nothing, nothing)

    def step(
        self, step: int, state: tuple[Tensor, tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, tuple[Tensor, tuple[Tensor, Tensor]]]:
        """The logits of a choice."""
        word, memory = state
        memory = self.cell(word, memory)
        return self.heads[step](memory[0]), (word, memory)

    def remember(
        self, step: int, options: Tensor, state: tuple[Tensor, tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The memory with the word for what was decided."""
        return self.words[step](options - ABSENT), state[1]

    def probabilities(self, options: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithms of the probabilities of encodings [N], and the policy's mean entropy for a decision."""
        state = self.begin(len(options))
        total, entropy, decisions = torch.zeros(len(options)), torch.zeros(()), 0.0
        for step, column in enumerate(options.T):
            logits, state = self.step(step, state)
            logs, there = logits.log_softmax(1), column != ABSENT
            taken = logs.gather(1, column.clamp(min=0)[:, None])[:, 0]
            total = total + torch.where(there, taken, torch.zeros_like(taken))
            entropy = entropy - ((logs.exp() * logs).sum(1) * there).sum()
            decisions += float(there.sum())
            state = self.remember(step, column, state)
        return total, entropy / max(decisions, 1.0)


_LESSON = 8  # networks of a lesson
_REFUSED = 32  # of those that were refused meanwhile, at most so many are part of the lesson


class ControllerSearcher:
    """Draws from MnasNet's controller, which learns from every eight networks, and from those that were refused.

    Args:
        space: to draw from.
        seed: of the policy and its draws.
        objectives: one only.

    Raises:
        InputError: there are several objectives; it learns from one reward.

    Source: MnasNet (Tan et al. 2019), section 3.2.
    """

    tries = 300

    def __init__(self, space: Space, *, seed: int = 0, objectives: int = 1) -> None:
        if objectives != 1:
            raise InputError(
                f"The controller learns from one reward, not from {objectives} objectives; join them in one "
                "expression, or search by nsga2."
            )
        self._controller = Controller(space, seed=seed)
        self._told: list[tuple[Encoding, float]] = []
        self._refused: list[Encoding] = []

    def ask(self) -> Encoding:
        """An encoding by the policy."""
        encoding: Encoding = self._controller.draw(1)[0]
        return encoding

    def tell(self, encoding: Encoding, values: Values) -> None:
        """Part of a lesson, which is learned once it is complete."""
        self._told.append((encoding, values[0]))
        if len(self._told) < _LESSON:
            return
        encodings = np.stack([*(encoding for encoding, _ in self._told), *self._refused])
        rewards = np.array([*(value for _, value in self._told), *[-np.inf] * len(self._refused)])
        self._controller.learn(encodings, rewards)
        self._told, self._refused = [], []

    def refuse(self, encoding: Encoding) -> None:
        """A bad example for the next lesson."""
        if len(self._refused) < _REFUSED:
            self._refused.append(encoding)


SEARCHERS.register(NamedSearcher("controller", ControllerSearcher))
