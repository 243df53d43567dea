"""A phase of a supernet's training as data: what is open in it, and how it is trained; written and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from allometry.arch import Choice, ModuleChoice, Option
from allometry.arch.any_space import AnySpace
from allometry.base import RecipeError
from allometry.base.checks import check_choice, check_integer, check_numbers
from allometry.base.decoding import decode
from allometry.base.files import read_json
from allometry.base.reading import UnreadableError

Dimension = Literal["resolution", "kernel", "depth", "width", "channels", "block"]
Sampling = Literal["random", "sandwich"]
TeacherOf = Literal["none", "largest", "average", "itself"]
Regularized = Literal["all", "largest"]
ImageSize = Literal["step", "subnet"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
ALL = 0
_WIDTHS = ("expand_ratio", "ratio")


def dimension_of(choice: Choice | ModuleChoice) -> Dimension:
    """What a choice makes elastic: `width` inside blocks, `channels` between them, `block` whatever else blocks have.

    Example:
        >>> from allometry.catalog import find_space
        >>> [dimension_of(choice) for choice in find_space("ofa-mobilenetv3-1.0").choices[:4]]
        ['resolution', 'depth', 'kernel', 'kernel']
    """
    if isinstance(choice, ModuleChoice):
        return choice.dimension
    target = choice.targets[0]
    if target.what == "depth":
        return "depth"
    last = target.fields[-1] if target.fields else ""
    if last in ("resolution", "kernel", "channels"):
        return last  # type: ignore[return-value]  # one of these three
    return "width" if last in _WIDTHS else "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a supernet's training: what is elastic in it, and how it learns.

    Attributes:
        name: for people.
        epochs: passes over the training images.
        elastic: for each dimension how many of its choices' options are open, from the last one, the largest; `ALL` for
            all. A dimension that is not named has its largest option only.
        subnets: drawn in each step; their gradients are averaged.
        lr_scale: the highest learning rate, as a share of the recipe's.
        sampling: `random`, or `sandwich`: the largest, the smallest, and the others at random.
        teacher: whose answers subnets imitate, besides the labels: `none`; the `largest` network as it was at the end
            of the first phase; the largest network of the `average` of the weights so far, which goes on learning; or,
            with the sandwich, the supernet's largest network `itself`, in the same step.
        distillation_weight: fraction of the loss of a subnet that has a teacher which compares with that one; 1 for
            its answers alone, without the labels. None for the recipe's.
        regularized: which subnets have dropout, stochastic depth and weight decay: `all`, where stochastic depth is the
            recipe's alone, since layers come and go anyway; or the `largest`, as it would have them by itself. What
            that one does not use, such as the matrices of smaller kernels, does not decay then.
        image_size: `step`, where all subnets of a step see images of one size, made for it; or `subnet`, where each
            sees the same views at its own size, shrunk from the greatest of them.

    Raises:
        RecipeError: a field cannot have that value.

    Source: Once-for-All (Cai et al. 2020), section 3.3; sandwich: Yu & Huang 2019, *Universally slimmable networks*,
    section 3.2; average: Tarvainen & Valpola 2017, *Mean teachers are better role models*, section 2; answers alone,
    the largest regularized and sizes of their own: Yu et al. 2020, *BigNAS*, section 3.1.

    Example:
        >>> Phase(name="kernel", epochs=7, elastic={"kernel": ALL}, lr_scale=0.4, teacher="largest").subnets
        1
    """

    name: str
    epochs: int
    elastic: Mapping[str, int] = field(default_factory=dict)
    subnets: int = 1
    lr_scale: float = 1.0
    sampling: Sampling = "random"
    teacher: TeacherOf = "none"
    distillation_weight: float | None = None
    regularized: Regularized = "all"
    image_size: ImageSize = "step"

    def __post_init__(self) -> None:
        given: tuple[object, object] = (self.name, self.elastic)
        if not (isinstance(given[0], str) and given[0]):
            raise RecipeError(f"The name of a phase must be a text that is not empty, not {self.name!r}.")
        if not isinstance(given[1], Mapping):
            raise RecipeError(
                f"The field elastic of a phase must be an object, such as {{'depth': 2}}, not {self.elastic!r}."
            )
        check_integer("epochs of a phase", self.epochs, minimum=1)
        check_integer("subnets of a phase", self.subnets, minimum=2 if self.sampling == "sandwich" else 1)
        check_numbers(self, "the phase's ", {"lr_scale": (0, 100), "distillation_weight": (0, 1)})
        check_choice("sampling of a phase", self.sampling, get_args(Sampling))
        check_choice("teacher of a phase", self.teacher, get_args(TeacherOf))
        check_choice("regularized of a phase", self.regularized, get_args(Regularized))
        check_choice("image_size of a phase", self.image_size, get_args(ImageSize))
        if self.teacher == "itself" and self.sampling != "sandwich":
            raise RecipeError(
                f"The phase {self.name!r} cannot learn from the largest network of the same step without training it "
                "in each step: give it the sampling 'sandwich', or another teacher."
            )
        if self.distillation_weight is not None and self.teacher == "none":
            raise RecipeError(
                f"The phase {self.name!r} has a distillation_weight, but no teacher; leave it out, or name a teacher."
            )
        if self.regularized == "largest" and self.sampling != "sandwich":
            raise RecipeError(
                f"The phase {self.name!r} can regularize the largest network alone only if that one is in each step: "
                "give it the sampling 'sandwich', or regularize all."
            )
        for dimension, number in self.elastic.items():
            check_choice("an elastic dimension of a phase", dimension, DIMENSIONS)
            check_integer(f"open options of {dimension}", number, minimum=ALL)

    def part_of(self, space: AnySpace) -> dict[str, tuple[Option, ...]]:
        """What each choice of a space can be in this phase.

        Example:
            >>> from allometry.catalog import find_space
            >>> phase = Phase(name="depth 1", epochs=1, elastic={"depth": 2})
            >>> phase.part_of(find_space("ofa-mobilenetv3-1.0"))["stage 1 depth"]
            (3, 4)
        """
        return {choice.name: self._open(choice) for choice in space.choices}

    def _open(self, choice: Choice | ModuleChoice) -> tuple[Option, ...]:
        number = self.elastic.get(dimension_of(choice), 1)
        return choice.options if number == ALL else choice.options[-number:]


def phases_to_json(phases: Iterable[Phase]) -> list[dict[str, Any]]:
    """The phases as JSON-ready values.

    Example:
        >>> phases_from_json(phases_to_json([Phase(name="all", epochs=3)])) == (Phase(name="all", epochs=3),)
        True
    """
    return [{**asdict(phase), "elastic": dict(phase.elastic)} for phase in phases]


def phases_from_json(plain: Any) -> tuple[Phase, ...]:  # noqa: ANN401 - whatever stands in the file
    """Read phases from JSON values, refusing unknown fields.

    Raises:
        RecipeError: they are not a list of phases; the message names the field.
    """
    if not isinstance(plain, list) or not plain:
        raise RecipeError("Phases are a list of one or more, each an object with a name and epochs.")
    try:
        return decode(tuple[Phase, ...], plain, place="phases")
    except UnreadableError as error:
        raise RecipeError(f"These are no phases: {error}.") from error


def load_phases(path: Path) -> tuple[Phase, ...]:
    """Read phases from a JSON file, an object with the list `phases`.

    Raises:
        RunFolderError: the file is missing, or no JSON.
        RecipeError: it does not describe phases.
    """
    return phases_from_json(read_json(path).get("phases"))
