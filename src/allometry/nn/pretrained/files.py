"""Reading files of weights. Nothing in a file is ever executed, and damaged files give nothing."""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from allometry.base import WeightsError
from allometry.base.archives import check_zip
from allometry.base.files import replacing
from allometry.base.machine import memory
from allometry.base.reading import is_file
from allometry.base.text import first_few
from allometry.nn.pretrained.checkpoints import unwrapped

DIGEST = "allometry.sha256"  # the name of the digest in a file's metadata
_COPIES, _BESIDE = 8, 2**20  # a file holds tensors that share their values once; and what stands beside them
_LONGEST = 200
_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


_ERROR_NUMBER = re.compile(r"os error (\d+)")


@dataclass(frozen=True, slots=True)
class RawWeights:
    """What a file holds: tensors by the names that their authors gave them.

    Attributes:
        tensors: by name, on the CPU.
        metadata: texts that a safetensors file carries.
        notes: sentences on what was taken, where there was a choice.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_weights(path, nn.Linear(2, 1), metadata={"about": "a line"})
        >>> raw = read_weights(path)
        >>> raw.tensors["weight"].shape, raw.metadata["about"]
        (torch.Size([1, 2]), 'a line')
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path) -> RawWeights:
    """Read a file of weights: safetensors, PyTorch's (weights only), or NumPy's .npz.

    Raises:
        WeightsError: the file is missing, damaged, holds code or no tensors, or a value is not finite.

    Example:
        >>> read_weights("no-such-file.pth")
        Traceback (most recent call last):
            ...
        allometry.base.errors.WeightsError: There is no file no-such-file.pth.
    """
    path = Path(path)
    if not is_file(path):
        raise WeightsError(f"There is no file {path}.")
    if path.suffix == ".safetensors":
        raw = _read_safetensors(path)
    elif path.suffix == ".npz":
        raw = RawWeights(_read_npz(path), {})
    else:
        raw = _read_torch(path)
    if not raw.tensors:
        raise WeightsError(f"{path} holds no tensors.")
    refuse_unusual(raw.tensors, path)
    refuse_larger(raw.tensors, path, most=_COPIES * path.stat().st_size + _BESIDE)
    refuse_not_finite(raw.tensors, path)
    return raw


def refuse_unusual(tensors: Mapping[str, Tensor], where: object) -> None:
    """Refuse tensors that are not plain arrays of real numbers: sparse, quantized, complex, eight-bit or without data.

    Raises:
        WeightsError: one is; the message names the tensors.

    Example:
        >>> refuse_unusual({"weight": torch.zeros(2, dtype=torch.complex64)}, "w.pth")
        Traceback (most recent call last):
            ...
        allometry.base.errors.WeightsError: w.pth holds weight as something other than plain numbers of ...
    """
    unusual = [
        name
        for name, tensor in tensors.items()
        if tensor.layout != torch.strided
        or tensor.is_meta
        or tensor.is_quantized
        or tensor.is_complex()
        or (tensor.is_floating_point() and tensor.dtype not in _KINDS)
    ]
    if unusual:
        raise WeightsError(
            f"{where} holds {first_few(unusual)} as something other than plain numbers of 16 to 64 bits; "
            "take the weights before they were quantized or made sparse."
        )


def refuse_larger(tensors: Mapping[str, Tensor], where: object, *, most: int) -> None:
    """Refuse tensors that tell of more values than their file holds, as one value that is repeated without end.

    Args:
        tensors: by name.
        where: the file, for the message.
        most: bytes that all of them may have.

    Raises:
        WeightsError: one is larger than the memory that it looks into, or all together are larger than `most`.

    Example:
        >>> refuse_larger({"weight": torch.zeros(1).expand(10**12)}, "w.pth", most=100)
        Traceback (most recent call last):
            ...
        allometry.base.errors.WeightsError: w.pth tells of 4,000,000,000,000 bytes in weight, and holds 4. ...
    """
    whole = 0
    for name, tensor in tensors.items():
        size, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        whole += size
        for what, told, held_of_it in ((name, size, held), ("all", whole, most)):
            if told > held_of_it:
                raise WeightsError(
                    f"{where} tells of {told:,} bytes in {what}, and holds {held_of_it:,}. "
                    "Save plain tensors of their own."
                )


def refuse_not_finite(tensors: Mapping[str, Tensor], where: object) -> None:
    """Refuse weights among which a value is infinite or not a number.

    Raises:
        WeightsError: one is; the message names the tensors.
    """
    bad = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if bad:
        raise WeightsError(
            f"{where} has values that are not finite in {first_few(bad)}; take an undamaged file."
        )


def _read_safetensors(path: Path) -> RawWeights:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            raw = RawWeights({name: file.get_tensor(name) for name in names}, dict(file.metadata() or {}))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file: {error}.") from error
    if is_damaged(raw):
        raise WeightsError(
            f"{path} is damaged: its values are not those that were written; take another copy."
        )
    return raw


def weights_digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of tensors by name, kind, shape and value, and of what is said besides; 64 hexadecimal digits.

    Example:
        >>> one = weights_digest({"weight": torch.zeros(2)}, {})
        >>> one == weights_digest({"weight": torch.tensor([0.0, 1e-40])}, {})
        False
    """
    known = hashlib.sha256()
    for name, text in sorted(metadata.items()):
        known.update(repr((name, text)).encode(errors="surrogatepass"))
    for name, tensor in sorted(tensors.items()):
        known.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode(errors="surrogatepass"))
        known.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return known.hexdigest()


def is_damaged(raw: RawWeights, *, ours: bool = False) -> bool:
    """Whether weights are not those that their file says were written.

    Args:
        raw: what was read.
        ours: `save_weights` wrote the file, so that it must say so. Files of others say nothing.
    """
    metadata = dict(raw.metadata)
    written = metadata.pop(DIGEST, None)
    if written is None:
        return ours or any(name.startswith("allometry") for name in metadata)
    return written != weights_digest(raw.tensors, metadata)


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        check_zip(path, most=memory() * 4 // 5)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except Exception as error:  # NumPy, its parser of headers, zip and zlib raise many kinds
        raise WeightsError(f"{path} is damaged, or holds more than plain arrays: {_first(error)}") from error


def _read_torch(path: Path) -> RawWeights:
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK" and not start.startswith(b"\x80"):
        raise WeightsError(f"{path} is no file of weights; possible are safetensors, PyTorch's, and .npz.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about old pickle protocols
            check_zip(path, most=path.stat().st_size + _BESIDE)  # PyTorch packs nothing
            # Trainings of others keep their arguments beside the weights; this class can do nothing but hold them.
            with torch.serialization.safe_globals([argparse.Namespace]):
                held = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise WeightsError(
                f"{path} holds more than tensors: loading it could run code, so nothing was loaded. "
                "Ask for the weights alone (a state dict), or for safetensors."
            ) from error
        raise WeightsError(f"{path} is damaged or no file of PyTorch: {_first(error)}") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise WeightsError(f"{path} is damaged or no file of PyTorch: {_first(error)}") from error
    if not isinstance(held, Mapping):
        raise WeightsError(f"{path} holds a {type(held).__name__}, not weights by name.")
    tensors, notes = unwrapped(held)
    return RawWeights(tensors, {}, notes)


def _first(error: BaseException) -> str:
    """The first sentence of a library's error, which may be long."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return short if short.endswith(".") else f"{short}."


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order: the library writes it in another one in each process."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        if len(header.get("__metadata__", ())) < 2:
            return
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # spaces fill it up, as the library has it
            file.seek(8)
            file.write(text.ljust(length))


def save_weights(
    path: Path, weights: nn.Module | Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's weights and statistics as safetensors, in one step.

    Raises:
        WeightsError: there is nothing to write.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_weights(path, nn.Linear(2, 1))
        >>> path.stat().st_size > 12
        True
    """
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    plain: dict[str, Tensor] = {}
    held: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        # One tensor under several names is written under each of them: the format knows no shared ones.
        plain[name] = own.clone() if own.numel() and own.data_ptr() in held else own
        held.add(plain[name].data_ptr())
    if not plain:
        raise WeightsError(
            f"There are no weights to write into {path}: give a tensor or more, or a module with some."
        )
    about = dict(metadata or {})
    about[DIGEST] = weights_digest(plain, about)
    with replacing(path) as beside:
        try:
            save_file(plain, beside, metadata=about)
            _sort_metadata(beside)
        except SafetensorError as error:
            # The library tells the system's error number in its text only.
            number = _ERROR_NUMBER.search(str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
