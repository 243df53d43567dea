"""What a training is asked for, as text, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allometry.base import UnknownNameError
from allometry.catalog import as_network
from allometry.data import data_argument
from allometry.training.recipes import RECIPES
from allometry.training.recipes.specs import check_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What a training was asked for, as text.

    Attributes:
        network: a name of the zoo or a network's JSON file.
        data: the data set.
        recipe: a name of `RECIPES`.
        settings: changes to the recipe, `key=value`.
        pretrained: weights to start from: a file, `hf://owner/name`, or a run folder.
        teacher: the run folder of a network to learn from.
    """

    network: str
    data: str = "icons"
    recipe: str = "small"
    settings: tuple[str, ...] = ()
    pretrained: str | None = None
    teacher: str | None = None

    def arguments(self) -> dict[str, Any]:
        """As the run folder remembers it; what was not asked is left out."""
        chosen = {"pretrained": self.pretrained, "teacher": self.teacher}
        return {
            "network": self.network,
            "data": data_argument(self.data),
            "recipe": self.recipe,
            "settings": list(self.settings),
            **{name: value for name, value in chosen.items() if value is not None},
        }


def make_request(
    network: str,
    *,
    data: str,
    recipe: str | None,
    settings: Sequence[str],
    pretrained: str | None,
    teacher: str | None,
) -> TrainRequest:
    """What is asked for, if all of its names are known.

    Raises:
        InputError: the network, the recipe or a setting is a mistake.

    Example:
        >>> nothing = {"data": "icons", "settings": (), "teacher": None}
        >>> make_request("efficientnet-b0", recipe=None, pretrained="b0.pth", **nothing).recipe
        'transfer'
    """
    as_network(network)
    chosen = recipe or ("transfer" if pretrained is not None else "small")
    if chosen not in RECIPES:
        raise UnknownNameError("recipe", chosen, RECIPES)
    check_settings(settings)
    return TrainRequest(
        network=network,
        data=data,
        recipe=chosen,
        settings=tuple(settings),
        pretrained=pretrained,
        teacher=teacher,
    )
