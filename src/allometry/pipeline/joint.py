"""Several processes that work in one run folder, as `torchrun` starts them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from allometry.base import Progress, SilentProgress
from allometry.pipeline.common import Images, Session, open_session, read_data
from allometry.pipeline.devices import find_device
from allometry.train import Ranks, join


@contextmanager
def open_joint_session(
    folder: Path,
    *,
    command: str,
    arguments: Mapping[str, Any],
    seed: int,
    device: str | None,
    progress: Progress,
    stopping: Callable[[], bool],
) -> Iterator[Session]:
    """Open the run folder of a command that several processes may carry out; only the first writes and tells.

    Raises:
        InputError: no such device, or `torchrun`'s variables are not whole.
        RunFolderError: the folder is in use or was made by another command.
        StorageError: the folder cannot be written.
    """
    place = find_device(device, local=int(os.environ.get("LOCAL_RANK", "0")))
    with (
        join(place) as ranks,
        _own_folder(ranks, folder) as own,
        open_session(
            own,
            command=command,
            arguments=arguments,
            seed=seed,
            device=str(place),
            progress=progress if ranks.leads else SilentProgress(),
            stopping=stopping,
            ranks=ranks,
        ) as session,
    ):
        yield session


def read_in_turn(session: Session, data: str) -> Images:
    """The images; the leader reads first, so that the others find its index.

    Raises:
        DataError: the data cannot be opened.
        RunFolderError: it has changed since something was trained on it in the folder.
    """
    if not session.ranks.leads:
        session.ranks.shared(None)
    images = read_data(session, data)
    if session.ranks.leads:
        session.ranks.shared(None)
    return images


@contextmanager
def _own_folder(ranks: Ranks, folder: Path) -> Iterator[Path]:
    """The run folder, or a passing one for a process that does not write."""
    if ranks.leads:
        yield folder
        return
    with tempfile.TemporaryDirectory() as passing:
        yield Path(passing) / folder.name
