"""One shard: an uncompressed tar file whose members of one base name are a sample. Nothing is ever unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import NamedTuple

from allometry.base import DataError
from allometry.base.reading import parse_json
from allometry.data.images.formats import EXTENSIONS
from allometry.data.sources.boundary import first_line
from allometry.data.sources.classes import class_name, name_problem
from allometry.data.sources.grouping import USUAL_COLUMN
from allometry.data.sources.records import RejectedFile
from allometry.data.sources.stores import read_part

_LABELS = ("cls", "json", "txt")  # where a sample has several, the first of these counts
_LONGEST_LABEL = 65536  # bytes
_BLOCK = 512  # bytes; a tar file ends with two blocks of zeros
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Member(NamedTuple):
    """The image of a sample.

    Attributes:
        name: inside the shard.
        label: its class.
        offset: where its bytes begin in the shard.
        length: how many they are.
        about: where its sample's JSON begins in the shard; -1 where it has none.
        size: how many bytes of JSON there are.
        group: the field `group` of the JSON; empty text where it has none.
    """

    name: str
    label: str
    offset: int
    length: int
    about: int = -1
    size: int = 0
    group: str = ""


class Part(NamedTuple):
    """Where a member of any kind lies."""

    name: str
    offset: int
    length: int


def read_members(shard: Path) -> tuple[list[Member], list[RejectedFile]]:
    """The labeled images of a shard, by its headers and labels; the images themselves are not read.

    Members are grouped into samples as WebDataset does it: all that are called alike up to the first dot of the last
    part of their names. A sample needs one image (`.jpg`, `.png` and so on) and a label: a number or name in `.cls`
    or `.txt`, or `label` or `class` in `.json`. Of a shard that is cut short the whole members are used.

    Returns:
        The images in their order, and what cannot be used.

    Raises:
        DataError: it is not an uncompressed tar file, or cannot be read.
    """
    try:
        _refuse_compressed(shard)
        parts, refused = _list(shard)
        samples, beside = _samples(parts)
        members = []
        for key, sample in samples.items():
            result = _member(shard, key, sample)
            if isinstance(result, Member):
                members.append(result)
            else:
                beside.append(result)
    except OSError as error:
        raise DataError(f"Cannot read {shard}: {error.strerror or error}.") from error
    return members, [*refused, *beside]


def _refuse_compressed(shard: Path) -> None:
    start = read_part(shard, 0, 8)
    for signature, kind in _COMPRESSED.items():
        if start.startswith(signature):
            raise DataError(
                f"{shard} is compressed ({kind}), and inside a compressed file no image can be reached without reading "
                "all before it. Uncompress it; images are compressed already."
            )


def _list(shard: Path) -> tuple[list[Part], list[RejectedFile]]:
    """The usable members by their headers, and what is no plain file or not all there."""
    size = shard.stat().st_size
    parts, refused = [], []
    end = 0
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                reason = _unsafe(member)
                if reason:
                    refused.append(RejectedFile(member.name, reason))
                elif member.isreg() and member.offset_data + member.size > size:
                    refused.append(RejectedFile(member.name, "the shard is cut short within it"))
                elif member.isreg() and not member.name.rpartition("/")[2].startswith("."):
                    parts.append(Part(member.name, member.offset_data, member.size))
    except OSError:
        raise
    except MemoryError as error:
        raise DataError(f"{shard} has a header that tells of more than there is memory for.") from error
    except Exception as error:  # a header that is damaged, or made to harm
        if end == 0:
            raise DataError(f"{shard} is not a tar file ({first_line(error)}).") from error
    if end > size or read_part(shard, end, _BLOCK) != bytes(_BLOCK):
        refused.append(
            RejectedFile("", "the shard has no end mark and may be cut short; what is whole is used")
        )
    return parts, refused


def _unsafe(member: tarfile.TarInfo) -> str:
    """Why a member is not even looked at; empty where it may be."""
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its name leads out of the shard"
    if member.issym() or member.islnk():
        return "a link"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "not a regular file"
    return ""


def _samples(parts: list[Part]) -> tuple[dict[str, dict[str, Part]], list[RejectedFile]]:
    """By base name, the members by extension."""
    samples: dict[str, dict[str, Part]] = {}
    refused = []
    for part in parts:
        folder, slash, base = part.name.rpartition("/")
        stem, _, extension = base.partition(".")
        sample = samples.setdefault(folder + slash + stem, {})
        if extension.lower() in sample:
            refused.append(RejectedFile(part.name, "a member of that name came before"))
        else:
            sample[extension.lower()] = part
    return samples, refused


def _member(shard: Path, key: str, sample: dict[str, Part]) -> Member | RejectedFile:
    images = [part for extension, part in sample.items() if f".{extension}" in EXTENSIONS]
    if len(images) != 1:
        what = "several images" if images else f"no image, only .{' and .'.join(sample)}"
        return RejectedFile(key, f"the sample has {what}")
    image = images[0]
    kind = next((kind for kind in _LABELS if kind in sample), None)
    if kind is None:
        return RejectedFile(image.name, "the sample has no label (.cls, .json or .txt)")
    label, reason = _label(shard, sample[kind], kind)
    if reason:
        return RejectedFile(image.name, reason)
    member = Member(image.name, label, image.offset, image.length)
    about = sample.get("json")
    if about is None or about.length > _LONGEST_LABEL:
        return member
    member = member._replace(about=about.offset, size=about.length)
    return member._replace(group=field_of(shard, member, USUAL_COLUMN) or "")


def field_of(shard: Path, member: Member, name: str) -> str | None:
    """A field of the JSON of a sample as text; None where there is no such field, or no JSON.

    Raises:
        OSError: the shard cannot be read.
    """
    if member.about < 0:
        return None
    try:
        fields = parse_json(read_part(shard, member.about, member.size).decode("utf-8-sig"))
    except ValueError:
        return None
    return _as_text(fields[name]) if isinstance(fields, dict) and name in fields else None


def _label(shard: Path, part: Part, kind: str) -> tuple[str, str]:
    """The class in a label's file, or why there is none."""
    if part.length > _LONGEST_LABEL:
        return "", f"its .{kind} is too long for a label"
    try:
        text = read_part(shard, part.offset, part.length).decode("utf-8-sig").strip()
        label = _json_label(text) if kind == "json" else text
    except ValueError:
        return "", f"its .{kind} cannot be read"
    name = class_name(label)
    if not name:
        return "", f"its .{kind} has no class"
    problem = name_problem(name)
    return ("", f"the class in its .{kind} {problem}") if problem else (name, "")


def _json_label(text: str) -> str:
    fields = parse_json(text)
    values = (
        [fields[name] for name in ("label", "class") if name in fields] if isinstance(fields, dict) else []
    )
    return _as_text(values[0] if values else None)


def _as_text(value: object) -> str:
    """Text or a whole number as text; empty text for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) else ""
