"""How a run folder remembers and is named after what a verb was given: a name as it is, a value by its digest."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from allometry.arch import Network, Space, digest, space_to_json
from allometry.scaling import LAWS, ScalingLaw, as_law


def value_argument(value: Network | Space | str | Path) -> str:
    """A network or space in `run.json`: its name or file, or a value by its name and digest.

    Example:
        >>> from allometry.catalog import get
        >>> value_argument("efficientnet-b0"), value_argument(get("efficientnet-b0"))
        ('efficientnet-b0', 'efficientnet-b0@85d18d4a14be1e1a9d8ad84c072378a5')
    """
    if isinstance(value, str | Path):
        return str(value)
    content = (
        digest(value) if isinstance(value, Network) else sha256(space_to_json(value).encode()).hexdigest()
    )
    return f"{value_name(value)}@{content[:32]}"


def value_name(value: Network | Space | str | Path) -> str:
    """A network's or space's part of a run folder's name.

    Example:
        >>> value_name("ofa-mobilenetv3-1.0"), value_name("networks/mine.json")
        ('ofa-mobilenetv3-1.0', 'mine')
        >>> from dataclasses import replace
        >>> from allometry.catalog import get
        >>> value_name(replace(get("resnet-18"), name="my net, wide"))
        'my-net-wide'
    """
    if isinstance(value, str | Path):
        return Path(value).name.removesuffix(".json")
    plain = re.sub(r"[^\w.]+", "-", value.name).strip("-.")
    return plain or type(value).__name__.lower()


def law_argument(law: ScalingLaw) -> str:
    """A law in `run.json`, the same for a law, its name and its file.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> law_argument(COMPOUND), law_argument(ScalingLaw(1.3, 1.1, 1.1))
        ('compound', '1.3,1.1,1.1')
    """
    named = [name for name, known in LAWS.items() if known == law]
    if named:
        return named[0]
    plain = f"{law.alpha!r},{law.beta!r},{law.gamma!r}"
    return plain if as_law(plain) == law else str(law.to_dict())
