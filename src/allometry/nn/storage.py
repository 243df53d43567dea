"""Writing weights as safetensors, in one step."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from allometry.base.files import replacing

_ERROR_NUMBER = re.compile(r"os error (\d+)")


def save_weights(
    path: Path, weights: nn.Module | Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's weights and statistics as safetensors, in one step.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> save_weights(path, nn.Linear(2, 1))
        >>> path.stat().st_size > 12
        True
    """
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as beside:
        try:
            save_file(plain, beside, metadata=dict(metadata or {}))
        except SafetensorError as error:
            # The library tells the system's error number in its text only.
            number = _ERROR_NUMBER.search(str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
