"""The export targets by name."""

from __future__ import annotations

from allometry.base import InputError, UnknownNameError
from allometry.deploy.targets.base import ExportTarget

_TARGETS: dict[str, ExportTarget] = {}


def register_target(target: ExportTarget) -> ExportTarget:
    """Give a target its name, by which `export(run, to=NAME)` and `allometry export --to NAME` take it from now on.

    Args:
        target: the target; the same one may come again.

    Returns:
        The target.

    Raises:
        InputError: another target has that name, or the target does not go together.

    Example:
        >>> register_target(as_target("onnx")).name
        'onnx'
    """
    known = _TARGETS.get(target.name)
    if known is not None and known != target:
        raise InputError(f"There is another export target called {target.name!r}; give yours another name.")
    if not target.suffix.startswith("."):
        raise InputError(f"The suffix of {target.name} must begin with a dot, unlike {target.suffix!r}.")
    calibrated = [precision.name for precision in target.precisions if precision.calibrated]
    if calibrated and type(target).quantize is ExportTarget.quantize:
        raise InputError(f"{target.name} has {calibrated[0]}, but no `quantize` that makes it.")
    _TARGETS[target.name] = target
    return target


def targets() -> tuple[ExportTarget, ...]:
    """All targets that are registered, in that order.

    Example:
        >>> [target.name for target in targets()][:3]
        ['onnx', 'openvino', 'torch']
    """
    return tuple(_TARGETS.values())


def as_target(target: ExportTarget | str) -> ExportTarget:
    """A target by its value or name.

    Raises:
        UnknownNameError: no target has that name.

    Example:
        >>> as_target("openvino").suffix
        '.xml'
    """
    if isinstance(target, ExportTarget):
        return target
    if target not in _TARGETS:
        raise UnknownNameError("export target", target, tuple(_TARGETS))
    return _TARGETS[target]
