"""One decoder for all records: types and bounds are exact, and each message names the field and what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from allometry.base import InputError
from allometry.base.decoding import Amount, Bounds, Count, Positive, decode
from allometry.base.reading import UnreadableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    images: Count
    share: Annotated[float, Bounds(least=0, most=1)] = 0.5
    seconds: Amount = 0.0
    spread: Positive = 1.0
    level: Annotated[int, Bounds(least=1, most=3)] = 1
    flag: bool = False
    note: str | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    parts: tuple[Part, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.note == "wrong":
            raise InputError("The note is wrong.")


RIGHT = {
    "images": 3,
    "share": 1,
    "pair": [0, 2.5],
    "parts": [{"name": "x"}, {"name": "y", "kind": "b"}],
    "sizes": {"train": 4},
}


def test_what_is_right_is_the_value() -> None:
    whole = decode(Whole, RIGHT)
    assert whole == Whole(
        images=3,
        share=1.0,
        pair=(0.0, 2.5),
        parts=(Part(name="x"), Part(name="y", kind="b")),
        sizes={"train": 4},
    )
    assert isinstance(whole.share, float)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": -1}, "field 'images' must be at least 0, not -1"),
        ({"images": "3"}, "field 'images' must be an integer, not '3'"),
        ({"images": 3.0}, "field 'images' must be an integer, not 3.0"),
        ({"images": True}, "field 'images' must be an integer, not True"),
        ({"images": None}, "field 'images' must be an integer, not None"),
        ({"images": "9" * 100}, "field 'images' must be an integer, not '9999"),
        ({"share": 1.5}, "field 'share' must be at most 1, not 1.5"),
        ({"share": "nan"}, "field 'share' must be a number, not 'nan'"),
        ({"share": float("nan")}, "field 'share' must be a finite number, not nan"),
        ({"seconds": float("inf")}, "field 'seconds' must be a finite number, not inf"),
        ({"spread": 0}, "field 'spread' must be more than 0, not 0"),
        ({"level": 4}, "field 'level' must be at most 3, not 4"),
        ({"flag": 1}, "field 'flag' must be true or false, not 1"),
        ({"flag": "yes"}, "field 'flag' must be true or false, not 'yes'"),
        ({"note": 3}, "field 'note' must be a text, not 3"),
        ({"note": "wrong"}, "The note is wrong"),
        ({"pair": [1]}, "field 'pair.1' is missing"),
        ({"pair": [1, 2, 3]}, "field 'pair' must be a list of 2, not [1, 2, 3]"),
        ({"pair": "ab"}, "field 'pair' must be a list, not 'ab'"),
        ({"parts": {}}, "field 'parts' must be a list, not {}"),
        ({"parts": [3]}, "field 'parts.0' must be an object, not 3"),
        ({"parts": [{"name": "x"}, {}]}, "field 'parts.1.name' is missing"),
        ({"parts": [{"name": "x", "kind": "c"}]}, "field 'parts.0.kind' must be one of 'a' or 'b', not 'c'"),
        ({"parts": [{"name": "x", "nam": 1}]}, "field 'parts.0.nam' is not known (did you mean 'name'?)"),
        ({"sizes": []}, "field 'sizes' must be an object, not []"),
        ({"sizes": {"train": "4"}}, "field 'sizes.train' must be an integer, not '4'"),
        ({"qqq": 1}, "field 'qqq' is not known (possible: flag, images"),
    ],
)
def test_whatever_is_wrong_is_named_with_what_it_must_be(change: dict[str, object], reason: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        decode(Whole, {**RIGHT, **change})
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("plain", [None, 3, "x", [], True])
def test_what_is_no_object_at_all_is_refused(plain: object) -> None:
    with pytest.raises(UnreadableError, match="it must be an object, not"):
        decode(Whole, plain)


def test_what_is_missing_is_named_and_the_rest_is_counted() -> None:
    with pytest.raises(UnreadableError, match=r"^field 'images' is missing \(1 more\)$"):
        decode(Whole, {"flag": 3})


def test_large_integers_may_be_text_as_they_are_written() -> None:
    assert decode(Whole, {"images": str(2**60)}).images == 2**60


def test_fields_that_are_not_declared_are_ignored_where_that_is_wanted() -> None:
    assert decode(Whole, {"images": 1, "more": 2}, closed=False) == Whole(images=1)


def test_the_place_in_a_file_is_part_of_the_message() -> None:
    with pytest.raises(UnreadableError, match=r"^field 'runs.3.images' is missing$"):
        decode(Whole, {}, place="runs.3")


def test_names_that_are_no_text_are_kept() -> None:
    assert decode(Part, {"name": "caf\udce9"}).name == "caf\udce9"


def test_names_that_are_no_text_are_refused_in_a_sentence_that_can_be_shown() -> None:
    with pytest.raises(UnreadableError, match=r"not known") as refused:
        decode(Part, {"name": "x", "caf\udce9": 1})
    assert str(refused.value).encode()
    with pytest.raises(UnreadableError) as refused:
        decode(Part, {"name": "x", "kind": "caf\udce9"})
    assert str(refused.value).encode()
