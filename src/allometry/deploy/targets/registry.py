"""The export targets by name."""

from __future__ import annotations

from allometry.base import InputError
from allometry.base.plugins import Registry
from allometry.deploy.targets.base import ExportTarget

TARGETS: Registry[ExportTarget] = Registry("export target")
"""All targets, our own and those that are registered from outside."""


def register_target(target: ExportTarget, *, replace: bool = False) -> ExportTarget:
    """Give a target its name, by which `export(run, to=NAME)` and `allometry export --to NAME` take it from now on.

    Args:
        target: the target; the same one may come again.
        replace: whether it takes the place of another one of its name.

    Returns:
        The target.

    Raises:
        InputError: another target has that name, or what the target says of itself does not go together.

    Example:
        >>> register_target(as_target("onnx")).name
        'onnx'
    """
    if not target.suffix.startswith("."):
        raise InputError(f"The suffix of {target.name} must begin with a dot, unlike {target.suffix!r}.")
    calibrated = [precision.name for precision in target.precisions if precision.calibrated]
    if calibrated and type(target).quantize is ExportTarget.quantize:
        raise InputError(f"{target.name} has {calibrated[0]}, but no `quantize` that makes it.")
    return TARGETS.register(target, replace=replace)


def as_target(target: ExportTarget | str) -> ExportTarget:
    """A target by its value or name.

    Raises:
        UnknownNameError: no target has that name.

    Example:
        >>> as_target("openvino").suffix
        '.xml'
    """
    return target if isinstance(target, ExportTarget) else TARGETS.get(target)
