"""What a log holds of a training: numbers of its epochs, and its recipe by field."""

from __future__ import annotations

from allometry.runs.epochs import EpochRecord
from allometry.training.recipes import Recipe

_COUNTERS = ("epoch", "epochs", "step", "phase")


def logged_values(record: EpochRecord) -> dict[str, float]:
    """The numbers of a record by name, without those that only count.

    Example:
        >>> record = EpochRecord(
        ...     epoch=2, epochs=3, step=10, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4, images=80, seconds=2
        ... )
        >>> list(logged_values(record))
        ['learning_rate', 'train_loss', 'train_accuracy', 'images', 'seconds']
    """
    return {
        name: float(value)
        for name, value in record.to_dict().items()
        if name not in _COUNTERS and isinstance(value, int | float)
    }


def logged_recipe(recipe: Recipe) -> dict[str, str]:
    """Every field of a recipe as text.

    Example:
        >>> logged_recipe(Recipe(epochs=3))["epochs"]
        '3'
    """
    return {name: str(value) for name, value in recipe.to_dict().items()}
