"""`allometry.open`: a run folder as the value that its verb gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from allometry.reports.card import run_card
from allometry.runs import HubUpload, RunRecord, read_run
from allometry.verbs.hub import local_folder, push_to_hub

if TYPE_CHECKING:  # torch is loaded by what needs it: most of a run is known without
    from torch import nn

    from allometry.data import Dataset
    from allometry.nn import Backbone, ConvNet
    from allometry.verbs.predict import Predictions


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Run(RunRecord):
    """A run: its folder, everything that is in it, and its trained network.

    Attributes:
        dataset: that it was made with, where that was a value: arrays, say, which no name leads back to.
        original: the torch module that its supernet was made of, where that was a value.

    Example:
        >>> Run(folder=Path("runs/photos"), name="photos", command="train")
        Run(photos: train, not finished)
    """

    dataset: Dataset | None = field(default=None, compare=False)
    original: nn.Module | None = field(default=None, compare=False)

    @overload
    def module(self, *, features_only: Literal[False] = False) -> ConvNet: ...
    @overload
    def module(
        self, *, features_only: Literal[True], out_indices: Sequence[int] | None = None
    ) -> Backbone: ...
    def module(
        self, *, features_only: bool = False, out_indices: Sequence[int] | None = None
    ) -> ConvNet | Backbone:
        """The trained network, in evaluation mode, on the CPU; read from the folder at each call.

        Args:
            features_only: without its head, a `Backbone` that gives a list of feature maps.
            out_indices: which feature maps, see `feature_maps`; None for all, one for each resolution.

        Raises:
            RunFolderError: the training is not finished, or a file is damaged.
            InputError: the network has no such feature map, or `out_indices` is given to a classifier.
        """
        from allometry.arch import check_features_only
        from allometry.nn import build
        from allometry.training.pretrained import open_finished

        check_features_only(features_only, out_indices)
        trained = open_finished(self.folder)
        if not features_only:
            return trained.module
        backbone = build(trained.network, features_only=True, out_indices=out_indices)
        backbone.load_state_dict(trained.module.state_dict())
        return backbone.eval()

    def predict(self, images: object, *, top: int = 5) -> Predictions:
        """The most probable classes of one image or of many, or all labels that they have.

        Args:
            images: as in `allometry.predict`: image files, PIL images, arrays or tensors, one or many.
            top: how many classes for each image.

        Raises:
            RunFolderError: the training is not finished.
            DataError: an image is missing, unreadable, or of another kind.
        """
        from allometry.verbs.predict import predict

        return predict(self, images, top=top)

    def push_to_hub(
        self,
        repo: str,
        *,
        license: str,  # noqa: A002 - the hub's word
        private: bool = False,
        message: str = "A run of allometry",
        endpoint: str | None = None,
        token: str | None = None,
    ) -> HubUpload:
        """Put the trained network on the Hugging Face hub, with a model card; `allometry.from_hub` takes it from there.

        There go: weights as safetensors, and as JSON the network, its preprocessing and recipe, the records of its
        epochs and its evaluation. No image, no thumbnail, no path of this machine.

        Args:
            repo: `owner/name`, or `owner/name@branch`; it is made where it is not there yet.
            license: of the weights, as the hub knows it: `apache-2.0`, `mit`, `cc-by-4.0`, `other`.
            private: whether a new repository is only for those who may.
            message: of the commit.
            endpoint: another hub; by default what HF_ENDPOINT says, or huggingface.co.
            token: that allows to write; by default that of `hf auth login`.

        Raises:
            InputError: the name or the license is not of that form.
            RunFolderError: the training is not finished, or the run holds no single network.
            MissingExtraError: the extra `hub` is not installed.
            HubError: the hub does not take it.
        """
        return push_to_hub(
            self.folder,
            repo,
            license=license,
            private=private,
            message=message,
            endpoint=endpoint,
            token=token,
        )

    def _repr_html_(self) -> str:
        return run_card(self)


def open(run: str | Path) -> Run:  # noqa: A001 - as `allometry.open`
    """The run in a folder: what the verb gave that made it, finished or not.

    Args:
        run: its folder, or `hf://owner/name` on the Hugging Face hub.

    Raises:
        RunFolderError: there is no run, or another version of this package made it.

    Example:
        >>> import tempfile
        >>> import allometry
        >>> from allometry.runs.folder import open_run as work_in_run
        >>> folder = Path(tempfile.mkdtemp()) / "photos"
        >>> with work_in_run(folder, command="train", arguments={}, device="cpu", seed=0):
        ...     pass
        >>> allometry.open(folder)
        Run(photos: train, not finished)
    """
    return open_run(local_folder(run))


def open_run(folder: str | Path, *, data: Dataset | object = None) -> Run:
    """The run that a verb gives, with the data set it was made with where that was a value.

    Raises:
        RunFolderError: there is no run, or another version of this package made it.
    """
    from allometry.data import Dataset

    record = read_run(folder)
    known: Mapping[str, object] = {own.name: getattr(record, own.name) for own in fields(record)}
    return Run(**known, dataset=data if isinstance(data, Dataset) else None)  # type: ignore[arg-type]
