"""`allometry zoo`: the networks that the library knows, with their costs and published numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from allometry.arch import Network
from allometry.base.html import html_table
from allometry.base.text import first_few
from allometry.base.units import plural
from allometry.catalog import Growth, Published, choose
from allometry.cost import Budget, Cost, as_budget, as_measure, count
from allometry.cost.measures import more_measures

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """A network of the zoo.

    Attributes:
        name: what `allometry.get` takes.
        family: that it belongs to.
        about: one line for people.
        network: as data.
        cost: of one image.
        growth: how it came from its family's baseline, if it was grown from one.
        published: the authors' numbers, if they published this very network.
    """

    name: str
    family: str
    about: str
    network: Network
    cost: Cost
    growth: Growth | None = None
    published: Published | None = None

    @property
    def more(self) -> dict[str, float]:
        """The values of measures that are counted besides, by their names."""
        values = {measure.name: measure.of(self.cost) for measure in more_measures()}
        return {name: value for name, value in values.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        published = self.published
        return {
            "name": self.name,
            "family": self.family,
            "about": self.about,
            "resolution": self.network.resolution,
            "params": self.cost.params,
            "macs": self.cost.macs,
            "activations": self.cost.activations,
            **self.more,
            "top1": published.top1 if published else None,
            "published_params": published.params if published else None,
            "published_macs": published.macs if published else None,
            "source": published.source if published else None,
            "note": (published.note or None) if published else None,
        }

    def __repr__(self) -> str:
        cost = self.cost
        return (
            f"ZooEntry({self.name}, {self.network.resolution} px, {cost.macs:,} MACs, {cost.params:,} params)"
        )


@dataclass(frozen=True, slots=True)
class Zoo(Sequence[ZooEntry]):
    """Networks of the zoo, families together.

    Attributes:
        entries: one for each network.
    """

    entries: tuple[ZooEntry, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What `allometry.get` takes."""
        return tuple(entry.name for entry in self.entries)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"networks": [entry.to_dict() for entry in self.entries]}

    @overload
    def __getitem__(self, index: int) -> ZooEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Zoo: ...
    def __getitem__(self, index: int | slice) -> ZooEntry | Zoo:
        """An entry by its place, or some of them."""
        return Zoo(self.entries[index]) if isinstance(index, slice) else self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ZooEntry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return f"Zoo({plural(len(self), 'network')}: {first_few(self.names, _NAMED)})"

    def _repr_html_(self) -> str:
        more = [as_measure(name) for name in (self.entries[0].more if self.entries else ())]
        labels = (measure.label for measure in more)
        columns = ("name", "px", "params", "MACs", "activations", *labels, "top-1", "source")
        rows = [
            (
                entry.name,
                entry.network.resolution,
                entry.cost.params,
                entry.cost.macs,
                entry.cost.activations,
                *(measure.format(entry.more[measure.name]) for measure in more),
                entry.published.top1 if entry.published else None,
                entry.published.source if entry.published else None,
            )
            for entry in self.entries
        ]
        return html_table(columns, rows)


def zoo(text: str = "", *, family: str | None = None, within: Budget | str | None = None) -> Zoo:
    """The networks that the library knows, with their costs and the authors' numbers.

    Args:
        text: only names with this in them.
        family: only this family, such as `mobilenet`.
        within: only what fits a budget, such as `macs<=400M, params<=5M`.

    Returns:
        The networks in order; none where none is within the budget.

    Raises:
        UnknownNameError: no such family, or no such name in it.
        BudgetError: the budget cannot be read, or it limits what is not counted.

    Example:
        >>> zoo("v3", family="mobilenet", within="100M")
        Zoo(1 network: mobilenetv3-small)
        >>> zoo("efficientnet-b")[1]
        ZooEntry(efficientnet-b1, 240 px, 686,802,832 MACs, 7,794,184 params)
    """
    budget = None if within is None else as_budget(within)
    entries = []
    for known in choose(text, family=family):
        network = known.make()
        cost = count(network)
        if budget is None or budget.allows(cost):
            entries.append(
                ZooEntry(
                    name=known.name,
                    family=known.family,
                    about=known.about,
                    network=network,
                    cost=cost,
                    growth=known.growth,
                    published=known.published,
                )
            )
    return Zoo(tuple(entries))
