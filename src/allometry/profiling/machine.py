"""The device that figures belong to, and how much else went on there."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from allometry.base.machine import cores, instructions, memory, processor

_LIBRARIES = ("torch", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineInfo:
    """The device, as far as figures depend on it.

    Attributes:
        processor: its name, with the number of cores this process may use.
        instructions: those of its vector and matrix instructions that runtimes choose kernels by.
        cores: that this process may use.
        memory: bytes in all.
        accelerator: name of the CUDA device that was measured, or none.
        system: the operating system and the architecture.
        python: version.
        libraries: versions of the runtimes that are installed.
        date: of the measurement.

    Example:
        >>> machine_info().cores >= 1
        True
    """

    processor: str
    instructions: tuple[str, ...]
    cores: int
    memory: int
    accelerator: str | None
    system: str
    python: str
    libraries: dict[str, str]
    date: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


def machine_info(*, device: str = "cpu") -> MachineInfo:
    """This machine, with the CUDA device where one is measured.

    Example:
        >>> here = machine_info()
        >>> here.accelerator is None, "torch" in here.libraries
        (True, True)
    """
    return MachineInfo(
        processor=processor(),
        instructions=instructions(),
        cores=cores(),
        memory=memory(),
        accelerator=_accelerator(device),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries=_libraries(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def busy_seconds() -> float | None:
    """Seconds of processor time that the whole machine has spent on anything since its start; None outside Linux.

    What the host of a virtual machine takes away counts, too.
    """
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _libraries() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _accelerator(device: str) -> str | None:
    if device == "cpu":
        return None
    import torch

    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else None
