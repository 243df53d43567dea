"""What run folders keep of a training: its epochs, and the networks of one that grew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allometry.base.decoding import Amount, Count
from allometry.runs.values import CostValue, NetworkField, Record, Share, Size
from allometry.scaling import ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord(Record):
    """What is known of an epoch of any training: a line of `metrics.jsonl`.

    Attributes:
        epoch: its number, from 1; of the phase, where there are several.
        epochs: of the whole training, or of the phase.
        step: the steps taken until its end; of the phase, where there are several.
        learning_rate: at its last step.
        train_loss: mean over all that passed.
        train_accuracy: fraction of what passed that was classified correctly, augmented as it was.
        images: training images seen.
        seconds: with validation.

    Example:
        >>> epoch = EpochRecord(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5,
        ... )
        >>> f"epoch {epoch.epoch} of {epoch.epochs}: loss {epoch.train_loss}"
        'epoch 1 of 20: loss 1.5'
    """

    epoch: Size
    epochs: Count
    step: Count
    learning_rate: Amount
    train_loss: float
    train_accuracy: Share
    images: Count
    seconds: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics(EpochRecord):
    """An epoch of the training of one network.

    Attributes:
        resolution: of its images.
        batch_size: of its steps.
        val_loss: mean over the validation images.
        val_accuracy: fraction of the validation images that are classified correctly.
        images_per_second: of training.
        phase: number of the network, from 1, where it grows in the training.

    Example:
        >>> epoch = EpochMetrics(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5, resolution=32, batch_size=32, val_loss=1.2, val_accuracy=0.5,
        ...     images_per_second=400.0,
        ... )
        >>> EpochMetrics.from_dict(epoch.to_dict()).val_accuracy
        0.5
    """

    resolution: Size
    batch_size: Size
    val_loss: float
    val_accuracy: Share
    images_per_second: Amount
    phase: Size = 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; without the phase in the first one, which most trainings do not leave."""
        values = EpochRecord.to_dict(self)
        return (
            values if self.phase > 1 else {name: value for name, value in values.items() if name != "phase"}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPhase(Record):
    """A network of a training that grows.

    Attributes:
        network: that learns.
        cost: of one image.
        first_epoch: that it is trained in, counted from 1.
        epochs: that it is trained in.

    Example:
        >>> from allometry.catalog import get
        >>> from allometry.cost import count
        >>> b0 = get("efficientnet-b0")
        >>> phase = GrowthPhase(network=b0, cost=count(b0), first_epoch=3, epochs=2)
        >>> phase.last_epoch, GrowthPhase.from_dict(phase.to_dict()) == phase
        (4, True)
    """

    network: NetworkField
    cost: CostValue
    first_epoch: Size
    epochs: Size

    @property
    def last_epoch(self) -> int:
        """The last one that it is trained in."""
        return self.first_epoch + self.epochs - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthSchedule(Record):
    """In what steps a network grows during its training: `growth.json`.

    Attributes:
        phases: its networks, in order; the last one is the result.
        law: by which it grows.

    Example:
        >>> from allometry.scaling import COMPOUND
        >>> GrowthSchedule(phases=(), law=COMPOUND).to_dict()["law"]["alpha"]
        1.2
    """

    phases: tuple[GrowthPhase, ...]
    law: ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetEpochMetrics(EpochRecord):
    """An epoch of a phase of a supernet's training.

    Attributes:
        phase: its number, from 1.
        name: of the phase.
        largest: validation accuracy of the phase's largest network.
        smallest: that of its smallest.
        passes: images times subnets.

    Example:
        >>> epoch = SupernetEpochMetrics(
        ...     epoch=1, epochs=5, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4, images=800,
        ...     seconds=2.5, phase=2, name="depth", largest=0.7, smallest=0.6, passes=1600,
        ... )
        >>> f"{epoch.name}: {epoch.smallest} to {epoch.largest}"
        'depth: 0.6 to 0.7'
    """

    phase: Size
    name: str
    largest: Share
    smallest: Share
    passes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientEpochMetrics(EpochRecord):
    """An epoch of a search by gradient.

    Attributes:
        updates: of the architecture until its end.
        held_loss: mean over the architecture's own images; None where it did not learn in the epoch.
        held_accuracy: fraction of the architecture's own images that were classified correctly, likewise.
        val_loss: of the most probable network, on the validation images.
        val_accuracy: of the most probable network, on the validation images.
        expected_cost: of the distribution; None where no cost counts.
        entropy: of the distribution, in nats.

    Example:
        >>> epoch = GradientEpochMetrics(
        ...     epoch=1, epochs=20, step=25, learning_rate=0.1, train_loss=1.5, train_accuracy=0.4,
        ...     images=800, seconds=2.5, updates=0, held_loss=None, held_accuracy=None, val_loss=1.2,
        ...     val_accuracy=0.5, expected_cost=2e6, entropy=1.1,
        ... )
        >>> epoch.held_loss is None  # the architecture did not learn in this epoch
        True
    """

    updates: Count
    held_loss: float | None
    held_accuracy: Share | None
    val_loss: float
    val_accuracy: Share
    expected_cost: float | None
    entropy: float
