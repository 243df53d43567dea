"""A run folder opened for use: its network, weights, classes and data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from allometry.arch import Network, load
from allometry.base import RunFolderError
from allometry.base.runs import RunFolder, read_run
from allometry.nn import build
from allometry.train import Preprocessing, load_weights
from allometry.train.engine.loop import FINAL


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A trained network with what it needs to be used.

    Attributes:
        folder: of the run.
        network: the network as data.
        module: its trained module, in evaluation mode, on the CPU.
        preprocessing: how images become its input.
    """

    folder: RunFolder
    network: Network
    module: nn.Module
    preprocessing: Preprocessing

    @property
    def arguments(self) -> dict[str, Any]:
        """What the run was asked, `data` and `seed` among it."""
        return dict(self.folder.info.get("arguments", {}))


def open_finished(path: Path) -> FinishedRun:
    """Open a run folder whose training is finished.

    Raises:
        RunFolderError: there is no run, its training is not finished, or a file is damaged.
    """
    folder = read_run(path)
    weights = path / "checkpoints" / FINAL
    if not weights.exists():
        command = folder.info.get("command", "run")
        raise RunFolderError(
            f"The training in {path} is not finished; run `allometry {command}` with the same arguments to go on."
        )
    network = load(path / "network.json")
    module = build(network)
    try:
        module.load_state_dict(load_weights(weights))
    except RuntimeError as error:
        raise RunFolderError(f"The weights {weights} are not those of {path / 'network.json'}.") from error
    return FinishedRun(folder, network, module.eval(), Preprocessing.load(path / "preprocessing.json"))
