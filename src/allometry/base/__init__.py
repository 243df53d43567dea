"""What every room stands on: errors, safe files, units, names, progress, the ledger and the run folder."""

from allometry.base.errors import (
    AllometryError,
    BudgetError,
    DataError,
    InputError,
    LawError,
    MeasurementError,
    MissingExtraError,
    NetworkError,
    NonFiniteLossError,
    OutOfMemoryError,
    RecipeError,
    RunFolderError,
    Stopped,
    StorageError,
    UnknownNameError,
    VerificationError,
    WeightsError,
)
from allometry.base.progress import Progress, SilentProgress

__all__ = [
    "AllometryError",
    "BudgetError",
    "DataError",
    "InputError",
    "LawError",
    "MeasurementError",
    "MissingExtraError",
    "NetworkError",
    "NonFiniteLossError",
    "OutOfMemoryError",
    "Progress",
    "RecipeError",
    "RunFolderError",
    "SilentProgress",
    "Stopped",
    "StorageError",
    "UnknownNameError",
    "VerificationError",
    "WeightsError",
]
