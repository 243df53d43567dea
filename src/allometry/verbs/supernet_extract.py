"""A subnet of either kind of supernet taken out into a run folder of its own, and judged there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from allometry.arch import ModuleMember, Network, Space
from allometry.arch.any_space import AnyMember, member_digest
from allometry.base import InputError, NetworkError
from allometry.runs import Evaluation, MultiLabelEvaluation
from allometry.runs.files import EVALUATION, LABEL_EVALUATION
from allometry.supernets.extraction import extract_in_folder
from allometry.supernets.module_extraction import ModuleExtraction, extract_module
from allometry.supernets.opened import OpenSupernet
from allometry.training.callbacks import Callback
from allometry.training.recipes.settings import Setting, setting_texts
from allometry.training.session import Session, open_session
from allometry.verbs.evaluate import evaluate_split
from allometry.verbs.stages import finish, is_finished, judge


def take_out(
    opened: OpenSupernet,
    network: AnyMember,
    folder: Path,
    *,
    epochs: int,
    seed: int | None,
    device: str | None,
    settings: Sequence[Setting],
    callbacks: Sequence[Callback | str],
    should_stop: Callable[[], bool],
) -> None:
    """Take a member out into a run folder, fine-tune it if that is wanted, and judge it on the test images.

    Raises:
        NetworkError: it is no member of the space.
        InputError: it is a torch module's, and shall be fine-tuned or cannot be made again from a file.
        Stopped: the user asked for it.
    """
    decisions_of: Callable[[AnyMember], object] = opened.space.decisions_of  # type: ignore[assignment]
    _refuse_other_kind(opened, network)
    decisions_of(network)  # what is no member is refused before a folder is made
    arguments = {
        "supernet": str(opened.session.run.path.resolve()),
        "subnet": member_digest(network),
        "data": opened.session.run.info.argument("data", str),
        "epochs": epochs,
        "settings": setting_texts(settings),
    }
    if not isinstance(network, Network):
        if epochs:
            raise InputError(
                "A module's subnet is fine-tuned by the module's own training code: take it out without epochs, and "
                "make it there by its plan and weights."
            )
        _take_out_member(opened, network, folder, arguments=arguments, device=device, should_stop=should_stop)
        return
    with open_session(
        folder,
        command="supernet extract",
        arguments=arguments,
        seed=opened.session.seed if seed is None else seed,
        device=device,
        progress=opened.session.progress,
        should_stop=should_stop,
        callbacks=callbacks,
    ) as session:
        if not is_finished(session):
            extraction = extract_in_folder(session, opened, network, epochs, settings)
            evaluation = judge(session, extraction.trained, extraction.job)
            finish(session, extraction.result(evaluation, epochs=epochs))


def _refuse_other_kind(opened: OpenSupernet, member: AnyMember) -> None:
    """Refuse a network where the supernet is a module's, or the other way around."""
    if isinstance(opened.space, Space) != isinstance(member, Network):
        kind = "networks" if isinstance(opened.space, Space) else "members of a torch module"
        raise NetworkError(f"The subnets of {opened.session.run.path} are {kind}, and {member.name} is none.")


def _take_out_member(
    opened: OpenSupernet,
    member: ModuleMember,
    folder: Path,
    *,
    arguments: dict[str, object],
    device: str | None,
    should_stop: Callable[[], bool],
) -> None:
    """Take a torch module's member out into a run folder, and judge it on the test images.

    Raises:
        InputError: the member cannot be made again from a file.
        Stopped: the user asked for it.
    """
    with open_session(
        folder,
        command="supernet extract",
        arguments=arguments,
        seed=opened.session.seed,
        device=device,
        progress=opened.session.progress,
        should_stop=should_stop,
    ) as session:
        if is_finished(session):
            return
        extraction = extract_module(session, opened, member)
        session.halt_if_requested()
        evaluation = _judge_member(session, opened, extraction)
        finish(session, extraction.result(evaluation))


def _judge_member(
    session: Session, opened: OpenSupernet, extraction: ModuleExtraction
) -> Evaluation | MultiLabelEvaluation:
    """Evaluate a member on the test split, and write what came of it."""
    began, split = time.monotonic(), opened.images.dataset.splits["test"]
    _, evaluation = evaluate_split(
        extraction.module,
        split,
        name="test",
        preprocessing=extraction.preprocessing,
        device=session.device,
        progress=session.progress,
    )
    session.run.record_cost("evaluate", "test", seconds=time.monotonic() - began, images=len(split))
    if isinstance(evaluation, MultiLabelEvaluation):
        LABEL_EVALUATION.write(session.run.path, evaluation)
    else:
        EVALUATION.write(session.run.path, evaluation)
    return evaluation
