"""The errors of this package: few, and each message says what was given, what is possible and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_ALIKE = 0.5
_LISTED = 20


class AllometryError(Exception):
    """Anything this package raises on purpose. The command line ends with status 1."""


class InputError(AllometryError, ValueError):
    """The user's input is wrong. The command line ends with status 2 and one sentence."""


class NetworkError(InputError):
    """A network, block or stage that cannot exist, or a file that does not describe one."""


class BudgetError(InputError):
    """A budget that cannot be read, or that no network of the law meets."""


class LawError(InputError):
    """A scaling law that cannot be read or that does not grow anything."""


class ObjectiveError(InputError):
    """An objective that cannot be read or worked out."""


class DataError(InputError):
    """Images that are missing, unreadable or not arranged as class folders."""


class RecipeError(InputError):
    """A training recipe with a field that does not exist or cannot have that value."""


class WeightsError(InputError):
    """A file of weights that is damaged, of another network, or holds what is no weight."""


class RunFolderError(InputError):
    """A run folder that is missing, in use, or was made by another command."""


class MeasurementError(AllometryError):
    """A network that was measured did not come through."""


class SearchError(AllometryError):
    """A search came to no result."""


class MissingExtraError(InputError):
    """An optional library is needed; the message names the extra that brings it."""


class UnknownNameError(InputError, KeyError):
    """A name that is not known, with the nearest ones.

    Example:
        >>> raise UnknownNameError("network", "efficientnet-b9", ["efficientnet-b0", "efficientnet-b7"])
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No network is named 'efficientnet-b9'. Did you mean ...
    """

    def __init__(self, what: str, given: str, possible: Iterable[str], advice: str = "") -> None:
        possible = sorted(possible)
        near = _nearest(given, possible)
        hint = f"Did you mean {_either(near)}?" if near else f"Possible: {_some(possible)}."
        super().__init__(" ".join(part for part in (f"No {what} is named {given!r}.", hint, advice) if part))

    def __str__(self) -> str:
        # KeyError would show the message with quotes around it.
        return str(self.args[0])


class StorageError(AllometryError, OSError):
    """A file could not be written: full, read-only or forbidden."""


class NonFiniteLossError(AllometryError):
    """The training loss became infinite or not a number."""


class OutOfMemoryError(AllometryError):
    """A step of a training did not fit into the device's memory."""


class Stopped(AllometryError):  # noqa: N818 - not an error of anybody
    """The user asked long work to stop; it left a checkpoint. The command line ends with status 130."""


class VerificationError(AllometryError):
    """An exported file does not give the results of the network it was made from."""


def _nearest(given: str, possible: list[str]) -> list[str]:
    """Up to three names that are alike, the most alike first."""
    alike = {name: SequenceMatcher(None, name, given).ratio() for name in possible}
    near = [name for name in possible if alike[name] >= _ALIKE]
    return sorted(near, key=lambda name: -alike[name])[:3]


def _some(names: list[str]) -> str:
    """All names, or the first of very many."""
    listed = ", ".join(names[:_LISTED])
    return listed if len(names) <= _LISTED else f"{listed} and {len(names) - _LISTED} more"


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
