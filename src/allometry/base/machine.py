"""What this machine is."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

from allometry.base.units import plural

_INSTRUCTIONS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
    "asimd",
)


def processor() -> str:
    """What the machine calls its processor, with the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{name}, {plural(cores(), 'core')}"


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def instructions() -> tuple[str, ...]:
    """Those of the processor's vector and matrix instructions that runtimes choose kernels by."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    flags = next(
        (line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), []
    )
    return tuple(name for name in _INSTRUCTIONS if name in flags)


def half_the_cores() -> int:
    """Threads that may prepare images beside the arithmetic."""
    return max(1, cores() // 2)


def memory() -> int:
    """Bytes of memory that the machine has in all."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def user_cache() -> Path:
    """The folder for what can be made or fetched again: `allometry` in XDG_CACHE_HOME, or else in ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if Path(cache).is_absolute():
        return Path(cache) / "allometry"
    try:
        return Path.home() / ".cache" / "allometry"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"allometry-{os.getuid()}"
