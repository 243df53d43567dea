"""Plans of phases for any space: the sandwich rule, progressive shrinking, and all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from allometry.arch.any_space import AnySpace
from allometry.runs.phases import ALL, DIMENSIONS, Dimension, Phase, dimension_of

_LONG, _SHORT = 125 / 180, 25 / 180
_FEWEST_LAST, _MOST_LAST = 36, 3.6
_FEWEST, _MOST = 45, 4.5
_RATE, _LAST_RATE, _GENTLE = 0.4, 0.6, 1 / 3
_COUPLED = 1 / 2  # of the epochs in which everything is open, where far fewer subnets share them
_ORDER: Sequence[tuple[Dimension, int]] = (
    ("kernel", 1),
    ("depth", 2),
    ("width", 4),
    ("channels", 4),
    ("block", 4),
)


def shrinking(space: AnySpace, *, epochs: int) -> tuple[Phase, ...]:
    """Progressive shrinking: the largest network, then kernels, depths, widths and channels, each from large to small.

    Resolutions are open from the first phase on. Every later phase learns from the largest network, too, and has seven
    tenths of its epochs, those that open an option between the largest and the smallest a seventh: Once-for-All's
    shares. The last phase, in which most subnets are met for the first time, has 36 epochs at least, though not more
    than 3.6 times those of the largest network, and learns from that of the averaged weights, which goes on learning
    where the first phase was short. The rates are such that AdamW's steps suit them.

    Args:
        space: whose choices say what there is to open.
        epochs: of the largest network.

    Source: Once-for-All (Cai et al. 2020), section 3.3 and appendix: 180, 125, 25 + 125, 25 + 125 epochs, with 1, 1, 2,
    2, 4 and 4 subnets in a step; ours is what the last phase has where there are few epochs.

    Example:
        >>> from allometry.catalog import find_space
        >>> phases = shrinking(find_space("ofa-mobilenetv3-1.0"), epochs=180)
        >>> [(phase.name, phase.epochs, phase.subnets) for phase in phases][:4]
        [('largest', 180, 1), ('kernel', 125, 1), ('depth 1', 25, 2), ('depth 2', 125, 2)]
    """
    phases = _largest(space, epochs)
    for dimension, subnets in _ORDER:
        phases += _opening(space, phases[-1], dimension, subnets=subnets, epochs=epochs)
    return _with_long_last(phases, epochs, share=1)


def coupled_shrinking(space: AnySpace, *, epochs: int) -> tuple[Phase, ...]:
    """Progressive shrinking where width follows depth: both are opened together, in one short and one long phase.

    Both phases let depth and width be whatever they can be; `shrinking` has several for each. Far fewer subnets are
    left to be trained, so the last phase has only half of the epochs that it has there at least.

    Args:
        space: whose choices say what there is to open.
        epochs: of the largest network.

    Source: CompOFA (Sahni et al., ICLR 2021), its released code: 25 + 120 epochs with 4 subnets in a step.

    Example:
        >>> from allometry.catalog import find_space
        >>> phases = coupled_shrinking(find_space("ofa-mobilenetv3-1.0"), epochs=180)
        >>> [(phase.name, phase.epochs, phase.subnets) for phase in phases][2:]
        [('depth and width 1', 25, 4), ('depth and width 2', 125, 4)]
    """
    if min(_options(space, "depth"), _options(space, "width")) < 2:
        return shrinking(space, epochs=epochs)
    phases = _largest(space, epochs)
    for dimension, subnets in _ORDER:
        if dimension == "depth":
            elastic = {**phases[-1].elastic, "depth": ALL, "width": ALL}
            short, whole = (
                _taught(f"depth and width {part}", elastic, subnets=4, epochs=epochs, whole=part == 2)
                for part in (1, 2)
            )
            phases += [short, whole]
        elif dimension != "width":
            phases += _opening(space, phases[-1], dimension, subnets=subnets, epochs=epochs)
    return _with_long_last(phases, epochs, share=_COUPLED)


def sandwich(space: AnySpace, *, epochs: int) -> tuple[Phase, ...]:
    """All at once: in each step the largest network, the smallest and two others, which learn from the largest one.

    All learn from the labels, too, are regularized as the recipe says, and see images of one size in a step; `bignas`
    has none of the three.

    Args:
        space: whose choices are all open.
        epochs: the largest network sees each image so often.

    Source: Yu & Huang 2019, *Universally slimmable networks*, sections 3.2 and 3.3; Yu et al. 2020, *BigNAS*, section
    3.1.

    Example:
        >>> from allometry.catalog import find_space
        >>> [phase.subnets for phase in sandwich(find_space("ofa-mobilenetv3-1.0"), epochs=30)]
        [4]
    """
    return (
        Phase(
            name="all",
            epochs=epochs,
            elastic=_everything(space),
            subnets=4,
            sampling="sandwich",
            teacher="itself",
        ),
    )


def bignas(space: AnySpace, *, epochs: int) -> tuple[Phase, ...]:
    """The sandwich as its papers have it: only the largest network sees labels, and only it is regularized.

    The other three learn from the largest one's answers alone, to the same views, each at its own size. The largest one
    alone has dropout, stochastic depth and weight decay.

    Args:
        space: whose choices are all open.
        epochs: the largest network sees each image so often.

    Source: Yu & Huang 2019, *Universally slimmable networks*, section 3.3, for the answers; Yu et al. 2020, *BigNAS*,
    section 3.1, for all. Their gradients are added up and ours averaged, and their rates fall otherwise: these are the
    recipe's.

    Example:
        >>> from allometry.catalog import find_space
        >>> [(phase.distillation_weight, phase.image_size) for phase in bignas(find_space("fbnet"), epochs=30)]
        [(1.0, 'subnet')]
    """
    (phase,) = sandwich(space, epochs=epochs)
    return (replace(phase, distillation_weight=1.0, regularized="largest", image_size="subnet"),)


def at_once(space: AnySpace, *, epochs: int) -> tuple[Phase, ...]:
    """Without shrinking: subnets at random from the first step to the last, for comparison.

    Example:
        >>> from allometry.catalog import find_space
        >>> [phase.teacher for phase in at_once(find_space("ofa-mobilenetv3-1.0"), epochs=30)]
        ['none']
    """
    return (Phase(name="all", epochs=epochs, elastic=_everything(space), subnets=4),)


PLANS: Mapping[str, Callable[..., tuple[Phase, ...]]] = {
    "bignas": bignas,
    "sandwich": sandwich,
    "shrinking": shrinking,
    "at-once": at_once,
}


def epochs_together(epochs: int, *, coupled: bool = False) -> int:
    """Epochs for a plan of one phase: many enough that each subnet has its share of the steps.

    They are those of a network by itself, but 45 at least, though not more than 4.5 times as many: about the passes
    that `shrinking` has where there are few epochs. Where width follows depth, they are half of that.

    Args:
        epochs: of a network by itself.
        coupled: whether width follows depth.

    Example:
        >>> epochs_together(10), epochs_together(10, coupled=True), epochs_together(180)
        (45, 22, 180)
    """
    whole = max(epochs, min(_FEWEST, round(_MOST * epochs)))
    return max(1, round(_COUPLED * whole)) if coupled else whole


def _largest(space: AnySpace, epochs: int) -> list[Phase]:
    elastic: dict[str, int] = {"resolution": ALL} if _options(space, "resolution") > 1 else {}
    return [Phase(name="largest", epochs=epochs, elastic=elastic)]


def _opening(
    space: AnySpace, before: Phase, dimension: Dimension, *, subnets: int, epochs: int
) -> list[Phase]:
    """The phases that open one dimension after another phase; none where it has one option only."""
    options = _options(space, dimension)
    if options < 2:
        return []
    steps = 1 if dimension in ("kernel", "block") else options - 1
    return [
        _taught(
            dimension if steps == 1 else f"{dimension} {step}",
            {**before.elastic, dimension: ALL if step == steps else step + 1},
            subnets=subnets,
            epochs=epochs,
            whole=step == steps,
        )
        for step in range(1, steps + 1)
    ]


def _taught(name: str, elastic: Mapping[str, int], *, subnets: int, epochs: int, whole: bool) -> Phase:
    """A phase that learns from the largest network: long where all of a dimension is open, else short and gentle."""
    return Phase(
        name=name,
        epochs=max(1, round(epochs * (_LONG if whole else _SHORT))),
        elastic=elastic,
        subnets=subnets,
        lr_scale=_RATE if whole else _RATE * _GENTLE,
        teacher="largest",
    )


def _with_long_last(phases: Sequence[Phase], epochs: int, *, share: float) -> tuple[Phase, ...]:
    if len(phases) == 1:
        return tuple(phases)
    *others, last = phases
    longest = max(last.epochs, round(share * min(_FEWEST_LAST, round(_MOST_LAST * epochs))))
    return (*others, replace(last, epochs=longest, lr_scale=_LAST_RATE, teacher="average"))


def _options(space: AnySpace, dimension: Dimension) -> int:
    return max(
        (len(choice.options) for choice in space.choices if dimension_of(choice) == dimension), default=0
    )


def _everything(space: AnySpace) -> dict[str, int]:
    return {dimension: ALL for dimension in DIMENSIONS if _options(space, dimension) > 1}
