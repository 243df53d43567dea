"""Optional libraries, loaded on first use."""

from __future__ import annotations

import importlib
from typing import Any

from allometry.base.errors import MissingExtraError


def load_extra(module: str, *, extra: str, asker: object) -> Any:  # noqa: ANN401 - a module
    """Import a library that only an extra brings.

    Args:
        module: its name, as `import` takes it.
        extra: of this package.
        asker: what needs it, in the user's words.

    Raises:
        MissingExtraError: it cannot be imported; the message names the extra.

    Example:
        >>> load_extra("no_such_library", extra="magic", asker="wand.csv")
        Traceback (most recent call last):
            ...
        allometry.base.errors.MissingExtraError: wand.csv needs no_such_library, which cannot be imported here ...
    """
    try:
        return importlib.import_module(module)
    # timm raises a RuntimeError where the torchvision it imports was built for another torch.
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError(
            f"{asker} needs {module.partition('.')[0]}, which cannot be imported here ({error}); "
            f"install it with: pip install 'allometry[{extra}]'"
        ) from error
