"""The errors of this package: few, and each message says what was given, what is possible and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

from allometry.base.text import first_few, shown

_ALIKE = 0.5
_LISTED = 20


class AllometryError(Exception):
    """Anything this package raises on purpose. The command line ends with status 1.

    Example:
        >>> from allometry import AllometryError, get
        >>> try:
        ...     get("efficientnet-b9")
        ... except AllometryError as error:
        ...     print(error)
        No network is named 'efficientnet-b9'. Did you mean ...
    """


class InputError(AllometryError, ValueError):
    """The user's input is wrong. The command line ends with status 2 and one sentence.

    Example:
        >>> from pathlib import Path
        >>> from allometry.cost import LatencyTable
        >>> LatencyTable.load(Path("no-such-table.json"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.InputError: There is no latency table no-such-table.json; `allometry table ...
    """


class NetworkError(InputError):
    """A network, block or stage that cannot exist, or a file that does not describe one.

    Example:
        >>> from allometry.arch import Stem
        >>> Stem(channels=0)
        Traceback (most recent call last):
            ...
        allometry.base.errors.NetworkError: Stem.channels must be an integer of at least 1, not 0.
    """


class BudgetError(InputError):
    """A budget that cannot be read, or that no network of the law meets.

    Example:
        >>> from allometry.cost import parse_budget
        >>> parse_budget("macs<=many")
        Traceback (most recent call last):
            ...
        allometry.base.errors.BudgetError: Cannot read the budget 'macs<=many': 'many' is not a quantity. ...
    """


class LawError(InputError):
    """A scaling law that cannot be read or that does not grow anything.

    Example:
        >>> from allometry.scaling import ScalingLaw
        >>> ScalingLaw(alpha=1, beta=1, gamma=1)
        Traceback (most recent call last):
            ...
        allometry.base.errors.LawError: A law with alpha = beta = gamma = 1 grows nothing; one of them ...
    """


class ObjectiveError(InputError):
    """An objective that cannot be read or worked out.

    Example:
        >>> from allometry.nas.objectives import as_objectives
        >>> as_objectives("accuracy +")
        Traceback (most recent call last):
            ...
        allometry.base.errors.ObjectiveError: Cannot read the objective 'accuracy +'. It is an expression ...
    """


class DataError(InputError):
    """Images that are missing, unreadable or not arranged as class folders.

    Example:
        >>> from allometry.data import open_data
        >>> open_data("no-such-folder")
        Traceback (most recent call last):
            ...
        allometry.base.errors.DataError: There is no folder no-such-folder. Give a folder of class ...
    """


class RecipeError(InputError):
    """A training recipe with a field that does not exist or cannot have that value.

    Example:
        >>> from allometry.training import recipes
        >>> recipes.Recipe(epochs=0)
        Traceback (most recent call last):
            ...
        allometry.base.errors.RecipeError: epochs must be an integer of at least 1, not 0.
    """


class WeightsError(InputError):
    """A file of weights that is damaged, of another network, or holds what is no weight.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.nn import load_pretrained
        >>> load_pretrained(get("efficientnet-b0"), "no-such-file.pth")
        Traceback (most recent call last):
            ...
        allometry.base.errors.WeightsError: There is no file no-such-file.pth.
    """


class RunFolderError(InputError):
    """A run folder that is missing, in use, or was made by another command.

    Example:
        >>> import allometry
        >>> allometry.open("no-such-run")
        Traceback (most recent call last):
            ...
        allometry.base.errors.RunFolderError: There is no run folder no-such-run. Give a folder that a ...
    """


class MeasurementError(AllometryError):
    """A network that was measured did not come through.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import MEASURES
        >>> from allometry.cost.measurements import read_with
        >>> read = read_with([MEASURES.get("latency")], lambda network: {"speed": 3.0})
        >>> read(get("efficientnet-b0"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.MeasurementError: What measures networks gives values by the names of measures, ...
    """


class CallbackError(AllometryError):
    """A callback failed, and so ended the training that it watched; the message names both.

    Example, with a small `network` and a `dataset`:
        >>> import allometry
        >>> from allometry.training.callbacks import Callback
        >>> class Broken(Callback):
        ...     def on_epoch_end(self, epoch):
        ...         print(epoch.no_such_value)
        >>> allometry.train(network, data=dataset, device="cpu", out=folder, callbacks=[Broken()], progress=False)
        Traceback (most recent call last):
            ...
        allometry.base.errors.CallbackError: The callback Broken failed in on_epoch_end: AttributeError: ...
    """


class ExportError(AllometryError):
    """A network that the library of an export target cannot write."""


class HubError(AllometryError):
    """The Hugging Face hub does not answer, refuses, or does not have what is wanted."""


class SearchError(AllometryError):
    """A search came to no result.

    Example, with a small `network` and a `dataset`:
        >>> import allometry
        >>> options = {"trials": 1, "epochs": 1, "device": "cpu", "out": folder, "progress": False}
        >>> allometry.search(network, data=dataset, budget="10M", objective="(accuracy - 0.999) ** 0.5", **options)
        Traceback (most recent call last):
            ...
        allometry.base.errors.SearchError: No trial came to a result; the first one: what it is worth ...
    """


class MissingExtraError(InputError):
    """An optional library is needed; the message names the extra that brings it.

    Example:
        >>> from allometry.base.extras import load_extra
        >>> load_extra("no_such_library", extra="magic", asker="wand.csv")
        Traceback (most recent call last):
            ...
        allometry.base.errors.MissingExtraError: wand.csv needs no_such_library, which cannot be imported ...
    """


class UnknownNameError(InputError, KeyError):
    """A name that is not known, with the nearest ones.

    Example:
        >>> raise UnknownNameError("network", "efficientnet-b9", ["efficientnet-b0", "efficientnet-b7"])
        Traceback (most recent call last):
            ...
        allometry.base.errors.UnknownNameError: No network is named 'efficientnet-b9'. Did you mean ...
    """

    def __init__(self, what: str, name: str, possible: Iterable[str], advice: str = "") -> None:
        possible = sorted(possible)
        near = nearest_names(name, possible)
        hint = f"Did you mean {near}?" if near else f"Possible: {first_few(possible, _LISTED)}."
        super().__init__(
            " ".join(part for part in (f"No {what} is named {shown(name)}.", hint, advice) if part)
        )

    def __str__(self) -> str:
        # KeyError would show the message with quotes around it.
        return str(self.args[0])


class StorageError(AllometryError, OSError):
    """A file could not be written: full, read-only or forbidden.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from allometry.arch import save
        >>> from allometry.catalog import get
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     save(get("efficientnet-b0"), Path(file.name) / "network.json")
        Traceback (most recent call last):
            ...
        allometry.base.errors.StorageError: Cannot write ...network.json: a file of that name is in the ...
    """


class NonFiniteLossError(AllometryError):
    """The training loss became infinite or not a number.

    Example:
        >>> from allometry.catalog import find_space
        >>> from allometry.nas.gradient import choices_of
        >>> from allometry.nas.gradient.distribution import Distribution
        >>> Distribution(choices_of(find_space("fbnet")), spread=float("inf")).log_probabilities()
        Traceback (most recent call last):
            ...
        allometry.base.errors.NonFiniteLossError: An architecture parameter became infinite or not a ...
    """


class OutOfMemoryError(AllometryError):
    """A step of a training did not fit into the device's memory.

    Example, with a small `network`, a `dataset`, its `preprocessing` and a `recipe`:
        >>> from allometry.training import ClassificationJob, ClassificationTask, run_task
        >>> class Large(ClassificationTask):
        ...     def learn(self, batch, epoch):
        ...         raise MemoryError
        >>> data = {"dataset": dataset, "preprocessing": preprocessing}
        >>> run_task(Large(ClassificationJob(network=network, recipe=recipe, folder=folder, **data)))
        Traceback (most recent call last):
            ...
        allometry.base.errors.OutOfMemoryError: The memory of cpu did not suffice for a step of training with 7 ...
    """


class Stopped(AllometryError):  # noqa: N818 - not an error of anybody
    """The user asked long work to stop; it left a checkpoint. The command line ends with status 130.

    Example, with a small `network` and a `dataset`:
        >>> import allometry
        >>> allometry.train(network, data=dataset, device="cpu", out=folder, progress=False, should_stop=lambda: True)
        Traceback (most recent call last):
            ...
        allometry.base.errors.Stopped: Stopped between two phases; the same command goes on from there.
    """


class VerificationError(AllometryError):
    """An exported file does not give the results of the network it was made from.

    Example:
        >>> from pathlib import Path
        >>> from allometry.deploy.isolated_runtime import IsolatedRuntime
        >>> IsolatedRuntime(Path("no-such-script.py"))
        Traceback (most recent call last):
            ...
        allometry.base.errors.VerificationError: no-such-script.py with its file, where there is no ...
    """


def nearest_names(given: str, possible: list[str]) -> str:
    """Up to three names that are alike, the most alike first, as a sentence has them; empty where none is.

    Example:
        >>> nearest_names("epoch", ["seed", "epochs"])
        "'epochs'"
    """
    alike = {name: SequenceMatcher(None, name, given).ratio() for name in possible}
    near = [name for name in possible if alike[name] >= _ALIKE]
    return _either(sorted(near, key=lambda name: -alike[name])[:3]) if near else ""


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
