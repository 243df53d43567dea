"""Damage and malice: seeded mutations of bytes, and of JSON by its values."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

NUMBERS = (0, -1, 1, 2**31, 2**63, 10**40, -(10**18), 0.0, -0.5, 1e308, 1e-320)
WORDS = ("", "a", "\x00", "../../etc/passwd", "\u202e", "é" * 300, "9" * 400, "nan")
VALUES: tuple[Any, ...] = (None, True, False, *NUMBERS, *WORDS, [], {}, [[]], [None], {"kind": "mbconv"})
TEXTS = (
    b"NaN",
    b"1e400",
    b"-1e400",
    b"9" * 5000,
    b'"\\ud800"',
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\xff\xfe",
    b"\x00",
)


def damaged(raw: bytes, random: Random) -> bytes:
    """The bytes with one to four of: a flipped bit, zeros, a cut, a piece taken out, doubled, exchanged, or noise."""
    for _ in range(random.randint(1, 4)):
        if not raw:
            return raw
        place, length = random.randrange(len(raw)), random.choice([1, 2, 4, 16, 256])
        kind = random.randrange(8)
        before, piece, after = raw[:place], raw[place : place + length], raw[place + length :]
        if kind == 0:
            raw = before + bytes([raw[place] ^ (1 << random.randrange(8))]) + raw[place + 1 :]
        elif kind == 1:
            raw = before + bytes(len(piece)) + after
        elif kind == 2:
            raw = before
        elif kind == 3:
            raw = before + after
        elif kind == 4:
            raw = before + piece * random.choice([2, 50]) + after
        elif kind == 5:
            raw = before + random.randbytes(length) + after
        elif kind == 6:
            raw = before + random.choice(TEXTS) + after
        else:
            other = random.randrange(len(raw))
            raw = before + raw[other : other + length] + after
    return raw


def rewritten(value: Any, random: Random) -> Any:
    """JSON with one value exchanged, taken out, doubled or moved."""
    places = list(_places(value))
    if not places:
        return deepcopy(random.choice(VALUES))
    holder, key = random.choice(places)
    kind = random.randrange(5)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind == 2:
        other, place = random.choice(places)
        holder[key] = json.loads(json.dumps(other[place]))
    elif kind == 3 and isinstance(holder, dict):
        holder[random.choice(["kind", "more", "format", ""])] = holder.pop(key)
    else:
        holder[key] = deepcopy(random.choice(VALUES))
    return value


def mutated_json(raw: bytes, random: Random) -> bytes:
    """JSON text with its values changed, or its bytes."""
    if random.random() < 0.3:
        return damaged(raw, random)
    value = json.loads(raw)
    for _ in range(random.randint(1, 3)):
        value = rewritten(value, random)
    return json.dumps(value).encode()


def mutated_lines(raw: bytes, random: Random) -> bytes:
    """JSON lines with one line changed, or the bytes of all."""
    lines = raw.splitlines(keepends=True)
    if random.random() < 0.2 or not lines:
        return damaged(raw, random)
    place = random.randrange(len(lines))
    lines[place] = mutated_json(lines[place], random) + random.choice([b"\n", b"\n", b""])
    return b"".join(lines)


def mutated_text(raw: bytes, random: Random) -> bytes:
    """A short text as somebody may mistype it, or worse."""
    words = [b"<=", b"=", b",", b"(", b")", b"**", b" ", b"%", b"-1", b"1e400", b"9" * 400]
    words += [
        b"x",
        b"\xc3\xa9",
        b"log",
        b"20ms",
        b"\x00",
        b"\xef\xbc\x94",
        b"_",
        b"{0..",
        b"}",
        b"0x1",
        b"\xff",
    ]
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(raw) + 1)
        raw = raw[:place] + random.choice(words) + raw[place + random.randrange(4) :]
    return raw


def _places(value: Any) -> Any:
    for key in (
        range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    ):
        yield value, key
        yield from _places(value[key])
