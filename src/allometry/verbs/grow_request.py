"""What `allometry grow` was asked for: the trained network, the budget, and what is done then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from allometry.arch import Network
from allometry.base import InputError, Progress, UnknownNameError
from allometry.cost import Budget, RuntimeConfig, as_budget, count, runtime_config_for
from allometry.data import Data, Dataset, Group, data_argument, settle_data
from allometry.nn import ConvNet
from allometry.nn.growing import (
    GROWTH_METHODS,
    IMPORTANCES,
    GrowthMethod,
    Importance,
)
from allometry.runs import DataSummary
from allometry.runs.arguments import law_argument, value_argument
from allometry.runs.files import DATA
from allometry.scaling import COMPOUND, ScalingLaw, as_law
from allometry.training import Recipe
from allometry.training.pretrained import Classifier, for_channels, open_finished, open_pretrained
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.recipes.specs import RecipeSpec, as_recipe, check_settings, recipe_arguments
from allometry.verbs.arguments import RunLike, folder_of, weights_argument


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowOrigin:
    """A trained network, and where it comes from.

    Attributes:
        classifier: its module, and how images become its input.
        called: how the run folder remembers it.
        name: its part of the folder's name.
        seed: by which its images were divided.
        data: that it was trained on, if that has a name.
        summary: of that.
    """

    classifier: Classifier
    called: dict[str, str]
    name: str
    seed: int = 0
    data: str | None = None
    summary: DataSummary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowRequest:
    """What is made larger or smaller, and what is done with it then.

    Attributes:
        origin: the trained network.
        module: that it is.
        budget: of the new network.
        law: by which it grows or shrinks.
        method: what new channels are.
        importance: of channels that may go.
        data: to train on, if anything is trained.
        recipe: how, where that was said.
        settings: changes to the recipe.
        runtime_config: in which this device judges by the budget, if it does.
        seed: of everything random.
    """

    origin: GrowOrigin
    module: ConvNet
    budget: Budget
    law: ScalingLaw
    method: GrowthMethod
    importance: Importance
    data: Dataset | str | None
    recipe: Recipe | RecipeSpec | str | None
    settings: tuple[Setting, ...]
    runtime_config: RuntimeConfig | None
    seed: int

    def arguments(self) -> dict[str, Any]:
        """As the run folder remembers it; what is not given is left out."""
        where, recipe = self.runtime_config, self.recipe
        return {
            **self.origin.called,
            **({} if self.origin.data is None else {"data": self.origin.data}),
            "trained": self.data is not None,
            "budget": self.budget.exact(),
            "law": law_argument(self.law),
            "method": self.method,
            "importance": self.importance,
            **({} if self.data is None else {"data": data_argument(self.data)}),
            **({} if recipe is None else recipe_arguments(as_recipe(recipe))),
            **({"settings": setting_texts(self.settings)} if self.settings else {}),
            **({"runtime": where.runtime, "threads": where.threads} if where else {}),
        }


def grow_request(
    run: RunLike,
    *,
    budget: Budget | str,
    network: Network | str | Path | None,
    law: ScalingLaw | str | Path | None,
    method: GrowthMethod,
    importance: Importance,
    data: Data | None,
    group: Group | None,
    recipe: Recipe | RecipeSpec | str | None,
    settings: Sequence[Setting],
    runtime: str | None,
    threads: int,
    seed: int | None,
    progress: Progress,
) -> GrowRequest:
    """What the arguments of `allometry.grow` stand for, each of them checked.

    Raises:
        InputError: one of them is wrong.
        RunFolderError: the run is not finished.
    """
    if method not in GROWTH_METHODS:
        raise UnknownNameError("method of growth", method, GROWTH_METHODS)
    if importance not in IMPORTANCES:
        raise UnknownNameError("importance of channels", importance, IMPORTANCES)
    _check_training(data, group, recipe, settings, importance)
    origin = _origin(run, network)
    module = origin.classifier.module
    if not isinstance(module, ConvNet):
        raise InputError(
            f"{origin.name} is a torch module that is not built from a network of allometry's; give a run, or weights "
            "with a name of `allometry zoo` or a network's JSON file."
        )
    limits = as_budget(budget, count(module.network))
    seed = origin.seed if seed is None else seed
    return GrowRequest(
        origin=origin,
        module=module,
        budget=limits,
        law=COMPOUND if law is None else as_law(law),
        method=method,
        importance=importance,
        data=None if data is None else settle_data(data, group=group, seed=seed, progress=progress),
        recipe=recipe,
        settings=tuple(settings),
        runtime_config=runtime_config_for(limits, runtime=runtime, threads=threads),
        seed=seed,
    )


def _check_training(
    data: Data | None,
    group: Group | None,
    recipe: Recipe | RecipeSpec | str | None,
    settings: Sequence[Setting],
    importance: Importance,
) -> None:
    """Refuse what is about a training where none is."""
    check_settings(settings)
    if recipe is not None:
        as_recipe(recipe)
    if data is not None:
        return
    given = {"a recipe": recipe, "settings (--set, --epochs)": settings or None, "a group": group}
    for name in (name for name, value in given.items() if value is not None):
        raise InputError(
            f"Without data nothing is trained, so {name} would do nothing: give data (--data), or leave it out."
        )
    if importance == "taylor":
        raise InputError(
            "The importance 'taylor' is judged by the loss on training images: give data, or take 'magnitude'."
        )


def _origin(run: RunLike, network: Network | str | Path | None) -> GrowOrigin:
    """The trained network, by its run or by its weights and its form."""
    if network is None:
        if isinstance(run, str | Path) and Path(run).is_file():
            raise InputError(
                f"{run} is a file, which does not say what network its weights are of: give the network, too (network, "
                "--network: a name of `allometry zoo` or a network's JSON file)."
            )
        folder = folder_of(run)
        finished = open_finished(folder)
        data = finished.arguments.get("data")
        return GrowOrigin(
            classifier=Classifier(finished.module, finished.preprocessing),
            called={"run": str(folder)},
            name=folder.name,
            seed=finished.seed,
            data=data if isinstance(data, str) else None,
            summary=DATA.read(folder),
        )
    weights = weights_argument(run)
    known = open_pretrained(network, weights)
    channels, mean, std = known.preprocessing.channels, known.preprocessing.mean, known.preprocessing.std
    # The file does not tell those of gray images, and what stands in for them is for color.
    settled = replace(known.preprocessing, mean=for_channels(mean, channels), std=for_channels(std, channels))
    known = replace(known, preprocessing=settled)
    return GrowOrigin(
        classifier=known,
        called={"run": weights, "network": value_argument(network)},
        name=Path(weights).name.partition(".")[0] or "grown",
    )
