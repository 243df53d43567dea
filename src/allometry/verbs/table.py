"""`allometry table`: latency tables of a space, each of its distinct blocks measured once."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from allometry.arch import Space
from allometry.base import Progress
from allometry.base.checks import replace_given
from allometry.base.files import sweep
from allometry.base.holding import hold
from allometry.base.progress import as_progress
from allometry.catalog import find_space
from allometry.cost import LatencyTable, RuntimeConfig
from allometry.profiling import TableCheck, TableConfig, build_table, check_table

__all__ = ["build", "check"]


def build(
    space: Space | str | Path,
    file: str | Path | None = None,
    *,
    networks: int | None = None,
    config: TableConfig = TableConfig(),
    runtime_config: RuntimeConfig = RuntimeConfig(),
    runtime: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
    precision: str | None = None,
    device: str | None = None,
    seed: int = 0,
    progress: Progress | bool = True,
) -> LatencyTable:
    """Measure each distinct block of a space, and fit the correction from their sum to whole networks.

    Called again with the same file it goes on where it stopped.

    Args:
        space: a space, its name or its JSON file.
        file: where the table is kept, as JSON; None to keep it nowhere.
        networks: `config.networks`, if given: random whole networks that the correction is fitted to.
        config: how much is measured.
        runtime_config: how networks are run.
        runtime: `runtime_config.runtime`, if given: torch, torch.compile, onnxruntime or openvino.
        threads: `runtime_config.threads`, if given.
        batch: `runtime_config.batch`, if given: images of a run.
        precision: `runtime_config.precision`, if given: float32 or bfloat16.
        device: `runtime_config.device`, if given: cpu or cuda.
        seed: of the random networks.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        UnknownNameError: no such space.
        InputError: the runtime cannot be used, or the file holds another table.

    Source: Once-for-All (Cai et al. 2020), section 3.4.
    """
    path = None if file is None else Path(file)
    known = _space(space)
    runtime_config = replace_given(
        runtime_config, runtime=runtime, threads=threads, batch=batch, precision=precision, device=device
    )
    with nullcontext() if path is None else hold(path.parent, make=True):
        if path is not None:
            sweep(path.parent, name=path.name)
        return build_table(
            known,
            runtime_config=runtime_config,
            config=replace_given(config, networks=networks),
            path=path,
            seed=seed,
            progress=as_progress(progress),
        )


def check(
    table: LatencyTable | str | Path,
    *,
    space: Space | str | Path | None = None,
    networks: int = 50,
    seed: int = 1,
    progress: Progress | bool = True,
) -> TableCheck:
    """Measure random whole networks and compare with what a table predicts.

    Args:
        table: a latency table, or its file.
        space: where the networks are drawn from; by default the space by the name that the table was built for.
        networks: how many are measured.
        seed: of the networks; not the table's.
        progress: True for a bar or lines, False for silence, or whatever is to be told.

    Raises:
        UnknownNameError: no such space.
        InputError: the table lacks a block, or the file is none.
    """
    known = table if isinstance(table, LatencyTable) else LatencyTable.load(Path(table))
    return check_table(
        known, _space(space or known.space), networks=networks, seed=seed, progress=as_progress(progress)
    )


def _space(space: Space | str | Path) -> Space:
    return space if isinstance(space, Space) else find_space(str(space))
