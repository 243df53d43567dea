"""The space that a search on these images looks through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from allometry.arch import Choice, Network, Option, RegularBlock, Space
from allometry.arch.space_serial import FORMAT
from allometry.base import BudgetError, InputError, NetworkError, UnknownNameError
from allometry.base.reading import is_file
from allometry.catalog import as_network, find_space, mbconv_space, spaces
from allometry.cost import Budget, Cost, MeasureFn, count, parse_budget
from allometry.data import Dataset
from allometry.scaling import COMPOUND, ScalingLaw, solve
from allometry.scaling.strides import adapt

KERNELS, EXPAND_RATIOS, WIDTHS = (3, 5, 7), (3, 6), (0.75, 1.0, 1.25)
SIDES = (0.75, 0.875, 1.0)
AROUND = "10M"  # the budget of a supernet around a network, where the user says none
_DEEPEST = 4
_LARGE = (
    96  # pixels; on smaller images a kernel of 7 sees little more than one of 5, and takes twice its time
)
# By which the network around which a supernet's space lies is fitted to its budget: depth is what the space opens.
_SHALLOW = ScalingLaw(alpha=1.0, beta=1.1, gamma=1.15)
_ROUNDS, _MARGIN = 12, 1.02


SpaceLike = Space | Network | str | Path
"""A space; or a network, around which one is made; or the name or JSON file of either."""


def as_space(value: SpaceLike) -> Space | Network:
    """The space that a user means, or the network around which one is to be made.

    Args:
        value: the space or network itself, its name or its JSON file.

    Raises:
        InputError: neither a space nor a network has that name, or the value is of another type.
        NetworkError: the file describes neither.

    Example:
        >>> as_space("fbnet") == find_space("fbnet"), as_space("efficientnet-b0").name
        (True, 'efficientnet-b0')
    """
    if isinstance(value, Space | Network):
        return value
    if not isinstance(value, str | Path):
        raise InputError(
            f"A space, a network, or the name or JSON file of one is expected, not a {type(value).__name__}."
        )
    path, text = Path(value), str(value)
    try:
        if is_file(path) and FORMAT not in path.read_text(encoding="utf-8", errors="replace"):
            return _network(text)
        return find_space(text)
    except UnknownNameError as error:
        return _network(text, error)


def open_space(
    space: Space | Network, dataset: Dataset, budget: Budget | None, *, measure: MeasureFn | None = None
) -> Space:
    """A space, or the one around a network, fitted to a data set.

    Around a network that the law makes as large as the budget allows are open: kernels of 3, 5 and 7 and expand ratios
    of 3 and 6 for each layer; 0.75, 1 and 1.25 times its channels for each stage; three sizes of the input; and, where
    a stage has several layers, how many, from one to one more than the deepest has, at most four.

    Args:
        space: as `as_space` gives it.
        dataset: whose classes, channels and size of images the networks shall have.
        budget: that a network is grown to before the space around it is made.
        measure: reads the device, where that judges by the budget.

    Raises:
        NetworkError: nothing is open around the network.
        BudgetError: the network cannot meet the budget.
    """
    if isinstance(space, Space):
        return fitted(space, dataset)
    return around(space, dataset, budget, measure=measure)


def reference_of(space: Space | Network) -> Cost | None:
    """What a multiple in a budget is of: the network, where the space is one around a network."""
    return count(space) if isinstance(space, Network) else None


def around(
    network: Network, dataset: Dataset, budget: Budget | None, *, measure: MeasureFn | None = None
) -> Space:
    """The space around a network that is as large as the budget allows.

    Raises:
        NetworkError: nothing is open around it.
        BudgetError: it cannot meet the budget.
    """
    side = max(dataset.image_size, 1)
    origin = adapt(network, classes=len(dataset.classes), channels=dataset.channels, image_size=side)
    largest = max(side, origin.total_stride)
    if budget is not None:
        grown = solve(origin, budget, law=COMPOUND, largest_resolution=largest, measure=measure).network
    else:
        grown = replace(origin, resolution=min(origin.resolution, largest))
    sides = sorted({max(grown.total_stride, 2 * round(grown.resolution * share / 2)) for share in SIDES})
    deepest = min(_DEEPEST, max((stage.repeats for stage in grown.stages), default=1) + 1)
    space = mbconv_space(
        grown,
        kernels=KERNELS,
        expand_ratios=EXPAND_RATIOS,
        depths=tuple(range(1, deepest + 1)),
        widths=WIDTHS,
        resolutions=sides,
        name=f"around {network.name}".strip(),
    )
    if all(choice.paths == ("resolution",) for choice in space.choices):
        raise NetworkError(
            f"Around {network.name or 'this network'} only the size of the input is open, since it has no inverted "
            "bottlenecks that expand; give a space by name or as a JSON file."
        )
    return space


def elastic_space(space: Space | Network, dataset: Dataset, budget: Budget | None) -> Space:
    """The space of a supernet: one that is given, or around a network; its largest member keeps the budget.

    Around a network are open: kernels of 3 and 5, and of 7 where images are large enough to need them; expand ratios of
    3, 4 and 6; one to three layers of each stage that has several; three sizes of the input.

    Args:
        space: as `as_space` gives it.
        dataset: whose classes, channels and size of images the networks shall have.
        budget: of the largest member. Without one, a space that is given may be of any size, and one around a network
            has at most 10M MACs.

    Raises:
        NetworkError: nothing is open around the network.
        BudgetError: the network cannot meet the budget, or the largest member of the space that is given does not.

    Source: Once-for-All (Cai et al. 2020), section 3.2; two to four layers there.
    """
    if isinstance(space, Space):
        fitting = fitted(space, dataset)
        return fitting if budget is None else _kept_by_largest(fitting, space.name or "the space", budget)
    network = space
    budget = budget or parse_budget(AROUND)
    side = max(dataset.image_size, 1)
    origin = adapt(network, classes=len(dataset.classes), channels=dataset.channels, image_size=side)
    largest = max(side, origin.total_stride)
    share = 1.0
    for _ in range(_ROUNDS):
        grown = solve(origin, budget.times(share), law=_SHALLOW, largest_resolution=largest).network
        elastic = _elastic(grown, name=f"around {network.name}".strip())
        over = budget.use(count(elastic.largest()))
        if over <= 1:
            return elastic
        share /= over * _MARGIN
    raise BudgetError(
        f"The largest network of a space around {network.name or 'this network'} does not keep {budget}; raise it, or "
        "give a space as a JSON file."
    )


def _kept_by_largest(space: Space, name: str, budget: Budget) -> Space:
    cost = count(space.largest())
    over = [limit for limit in budget.limits if not limit.allows(limit.value(cost))]
    if not over:
        return space
    needs = ", ".join(f"{limit.measure.format(limit.value(cost))} {limit.measure.name}" for limit in over)
    most = ", ".join(map(str, over))
    raise BudgetError(
        f"The largest network of {name} needs {needs}, more than {most}. A space that is given stays as it is: raise "
        "the budget or leave it out, or give a network, around which a space is made that keeps it."
    )


def _elastic(network: Network, *, name: str) -> Space:
    sides = {max(network.total_stride, 2 * round(network.resolution * share / 2)) for share in SIDES}
    return mbconv_space(
        network,
        kernels=KERNELS if network.resolution >= _LARGE else KERNELS[:2],
        expand_ratios=(3, 4, 6),
        depths=(1, 2, 3),
        resolutions=sorted(sides),
        name=name,
    )


def fitted(space: Space, dataset: Dataset) -> Space:
    """The space with the classes, channels and strides that a data set asks for, and no input larger than its images.

    Example:
        >>> from allometry.data import open_data
        >>> small = fitted(find_space("fbnet"), open_data("icons"))
        >>> small.template.resolution, small.template.head.classes, small.size == find_space("fbnet").size
        (96, 88, True)
    """
    side = dataset.image_size
    template = adapt(space.template, classes=len(dataset.classes), channels=dataset.channels, image_size=side)
    largest = max(side, template.total_stride)
    if template.resolution > largest:
        template = replace(template, resolution=largest)
    choices = tuple(_fitted_choice(choice, template, largest) for choice in space.choices)
    kept = tuple(choice for choice in choices if choice.options)
    return Space(template=template, choices=kept, name=space.name)


def _fitted_choice(choice: Choice, template: Network, largest: int) -> Choice:
    options: tuple[Option, ...] = choice.options
    if choice.paths == ("resolution",):
        small = tuple(side for side in options if isinstance(side, int) and side <= largest)
        return replace(choice, options=small or (largest,))
    stages = [place.number for place in choice.targets if place.what == "block" and not place.fields]
    if stages:
        stride = template.stages[stages[0]].block.stride
        options = tuple(
            option.with_stride(stride) if isinstance(option, RegularBlock) else option for option in options
        )
        return replace(choice, options=options)
    return choice


def _network(text: str, error: UnknownNameError | None = None) -> Network:
    try:
        return as_network(text)
    except UnknownNameError as second:
        names = ", ".join(entry.name for entry in spaces())
        raise InputError(
            f"Neither a space nor a network is named {text!r}. Spaces: {names}. A network gives the space around it. "
            f"{str(second).partition('. ')[2]}"
        ) from error
    except NetworkError as second:
        raise NetworkError(f"{text} describes neither a space nor a network: {second}") from error
