"""A subnet on its way into a run folder of its own: which one is meant, its weights, and its fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allometry.arch import Network, save
from allometry.arch.any_space import AnyMember, load_member, member_digest
from allometry.base import InputError, UnknownNameError
from allometry.cost import count
from allometry.nn import save_weights
from allometry.runs import Evaluation, ExtractResult, MultiLabelEvaluation, Subnet
from allometry.runs.files import DATA, NETWORK, PREPROCESSING, known_subnets, write_recipe
from allometry.supernets.extract import ESTIMATED, extract_subnet, preprocessing_of
from allometry.supernets.opened import OpenSupernet
from allometry.training import FINAL, ClassificationJob, Trained, change, evaluate, train
from allometry.training.recipes.settings import Setting
from allometry.training.session import Session

_FINE = 0.1  # of the recipe's learning rate: the weights are good already


def find_subnet(run: Path, subnet: Subnet | AnyMember | str | Path) -> AnyMember:
    """The network that is meant, by the name that its run folder gets.

    Args:
        run: the supernet's folder.
        subnet: what a search gave, a network, or the name or JSON file of one.

    Raises:
        InputError: no subnet was searched yet.
        UnknownNameError: none of that name was; the message lists those that were.
    """
    if isinstance(subnet, Subnet):
        return replace(subnet.network, name=subnet.name)
    if isinstance(subnet, AnyMember):
        return subnet if subnet.name else replace(subnet, name=f"subnet-{member_digest(subnet)[:8]}")
    path, name = Path(subnet), str(subnet)
    if path.suffix == ".json":
        return replace(
            load_member(path), name=path.parent.name if path.stem in ("network", "member") else path.stem
        )
    known = known_subnets(run)
    if not known:
        raise InputError(
            f"No subnet of {run} has been found yet: run `allometry supernet search {run} --budget ...` first, or give "
            f"a network or its JSON file instead of {name!r}."
        )
    if name not in known:
        raise UnknownNameError("subnet", name, known, "A network's JSON file works too.")
    return replace(known[name].network, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """A subnet with weights of its own.

    Attributes:
        job: of its fine-tuning, also where there is none.
        trained: its module.
        extracted_accuracy: on the validation images, as it came out of the supernet.
        searched: what a search said of it, if it came from one.
        supernet: the folder that it comes from.
    """

    job: ClassificationJob
    trained: Trained
    extracted_accuracy: float
    searched: Subnet | None
    supernet: Path

    def result(self, evaluation: Evaluation | MultiLabelEvaluation, *, epochs: int) -> ExtractResult:
        """What the extraction came to, with the evaluation on the test split."""
        network, searched = self.job.network, self.searched
        return ExtractResult(
            data=self.job.dataset.name,
            network=network.name,
            resolution=network.resolution,
            cost=count(network).with_readings(searched.cost.readings if searched else {}),
            validation_accuracy=self.trained.accuracy if epochs else self.extracted_accuracy,
            test_accuracy=evaluation.accuracy,
            test_interval=evaluation.interval,
            test_images=evaluation.images,
            test_groups=evaluation.groups,
            supernet=str(self.supernet),
            epochs=epochs,
            extracted_accuracy=self.extracted_accuracy,
            budget=searched.budget if searched else None,
            predicted_accuracy=searched.predicted_accuracy if searched else None,
            predicted_latency=searched.predicted_latency if searched else None,
            measured=searched.measured if searched else None,
        )


def extract_in_folder(
    session: Session, opened: OpenSupernet, network: Network, epochs: int, settings: Sequence[Setting]
) -> Extraction:
    """Take a subnet out, fine-tune it if that is wanted, and write its weights.

    Args:
        session: of the new run folder.
        opened: the supernet.
        network: the subnet.
        epochs: of fine-tuning it, with the supernet's recipe but more gently; 0 for none.
        settings: changes to that recipe, `key=value`.

    Raises:
        Stopped: the user asked for it.
    """
    folder, job = session.run.path, _job(session, opened, network, epochs, settings)
    save(network, folder / NETWORK)
    job.preprocessing.save(folder / PREPROCESSING)
    write_recipe(folder, job.recipe.to_dict())
    data = DATA.read(opened.session.run.path)
    if data is not None:  # by its fingerprint the same images are known again
        DATA.write(folder, data)
    splits = opened.images.dataset.splits
    module = extract_subnet(
        opened.supernet,
        network,
        splits["train"],
        preprocessing=opened.preprocessing,
        seed=opened.session.seed,  # whatever the fine-tuning's: what is taken out is what was searched
        images=ESTIMATED,
    )
    extracted = evaluate(module, splits["val"], preprocessing=job.preprocessing, device=session.device)
    if epochs:
        trained = train(replace(job, start=module.state_dict()))
        session.run.record_cost("train", network.name, seconds=trained.seconds, images=trained.images)
    else:
        save_weights(folder / "checkpoints" / FINAL, module, metadata={"identity": job.identity})
        trained = Trained(module.cpu(), (), 0.0, 0, 0)
    run = opened.session.run.path.resolve()
    return Extraction(
        job=job,
        trained=trained,
        extracted_accuracy=extracted.accuracy,
        searched=searched_as(run, network),
        supernet=run,
    )


def searched_as(run: Path, member: AnyMember) -> Subnet | None:
    """What a search in a supernet's folder said of a member; None if none found it."""
    own = member_digest(member)
    return next((known for known in known_subnets(run).values() if member_digest(known.network) == own), None)


def _job(
    session: Session, opened: OpenSupernet, network: Network, epochs: int, settings: Sequence[Setting]
) -> ClassificationJob:
    recipe = opened.recipe
    if epochs:
        gentle = replace(recipe, epochs=epochs, learning_rate=_FINE * recipe.learning_rate, warmup=0.0)
        recipe = change(gentle, *settings)
    return ClassificationJob(
        network=network,
        dataset=opened.images.dataset,
        preprocessing=preprocessing_of(network, opened.preprocessing),
        recipe=recipe,
        folder=session.run.path,
        seed=session.seed,
        device=session.device,
        label="fine-tuning",
        progress=session.progress,
        should_stop=session.should_stop,
        callbacks=session.callbacks,
    )
