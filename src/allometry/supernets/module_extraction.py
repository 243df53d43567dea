"""A member of a module's supernet on its way into a folder of its own: a plan, and weights by the module's names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from allometry.arch import ModuleMember
from allometry.arch.any_space import save_member
from allometry.base import InputError
from allometry.cost import count
from allometry.nn import ModulePlan, apply_plan, save_weights
from allometry.nn.foreign.runs import run_once
from allometry.runs import Evaluation, ExtractResult, MultiLabelEvaluation, Subnet
from allometry.runs.files import DATA, MEMBER, MODULE_PLAN, MODULE_WEIGHTS, PREPROCESSING
from allometry.supernets.elastic_module import ElasticModule
from allometry.supernets.extract import ESTIMATED, extract_subnet, preprocessing_of
from allometry.supernets.extraction import searched_as
from allometry.supernets.opened import OpenSupernet
from allometry.training import Preprocessing, evaluate
from allometry.training.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleExtraction:
    """A member with weights of its own.

    Attributes:
        member: what was decided.
        module: of the same classes as the whole one, in evaluation mode.
        plan: by which `apply_plan` makes it of what the factory gives.
        preprocessing: how images become its input.
        accuracy: on the validation images.
        searched: what a search said of it, if it came from one.
        supernet: the folder that it comes from.
        data: name of the images.
    """

    member: ModuleMember
    module: nn.Module
    plan: ModulePlan
    preprocessing: Preprocessing
    accuracy: float
    searched: Subnet | None
    supernet: Path
    data: str

    def result(self, evaluation: Evaluation | MultiLabelEvaluation) -> ExtractResult:
        """What the extraction came to, with the evaluation on the test split."""
        searched = self.searched
        return ExtractResult(
            data=self.data,
            network=self.member.name,
            resolution=self.member.resolution,
            cost=count(self.member).with_readings(searched.cost.readings if searched else {}),
            validation_accuracy=self.accuracy,
            test_accuracy=evaluation.accuracy,
            test_interval=evaluation.interval,
            test_images=evaluation.images,
            test_groups=evaluation.groups,
            supernet=str(self.supernet),
            epochs=0,
            extracted_accuracy=self.accuracy,
            budget=searched.budget if searched else None,
            predicted_accuracy=searched.predicted_accuracy if searched else None,
            predicted_latency=searched.predicted_latency if searched else None,
            measured=searched.measured if searched else None,
        )


def extract_module(session: Session, opened: OpenSupernet, member: ModuleMember) -> ModuleExtraction:
    """Take a member out, and write its plan and its weights.

    The folder holds what makes it without a supernet: `apply_plan(make(), ModulePlan.load("module-plan.json"))`, then
    `load_state_dict` of `weights.safetensors`; that is tried here.

    Args:
        session: of the new run folder.
        opened: the supernet.
        member: of its space, with the name that the folder knows it by.

    Raises:
        InputError: the plan and the weights do not give the member again.
    """
    supernet, folder = opened.supernet, session.run.path
    assert isinstance(supernet, ElasticModule) and opened.module is not None  # noqa: S101, PT018 - the space is a module's
    chosen = supernet.subnet(member).network
    counted = replace(member, params=chosen.params, macs=chosen.macs)
    preprocessing = preprocessing_of(member, opened.preprocessing)
    splits = opened.images.dataset.splits
    module = extract_subnet(
        supernet,
        chosen,
        splits["train"],
        preprocessing=opened.preprocessing,
        seed=opened.session.seed,  # what is taken out is what was searched
        images=ESTIMATED,
    )
    plan = supernet.members.plan(chosen.decisions)
    _check_again(module, apply_plan(opened.module, plan), chosen, channels=supernet.space.in_channels)
    save_member(counted, folder / MEMBER)
    plan.save(folder / MODULE_PLAN)
    preprocessing.save(folder / PREPROCESSING)
    save_weights(folder / MODULE_WEIGHTS, module)
    data = DATA.read(opened.session.run.path)
    if data is not None:  # by its fingerprint the same images are known again
        DATA.write(folder, data)
    score = evaluate(module, splits["val"], preprocessing=preprocessing, device=session.device)
    run = opened.session.run.path.resolve()
    return ModuleExtraction(
        member=counted,
        module=module,
        plan=plan,
        preprocessing=preprocessing,
        accuracy=score.accuracy,
        searched=searched_as(run, member),
        supernet=run,
        data=opened.images.dataset.name,
    )


def _check_again(module: nn.Module, again: nn.Module, member: ModuleMember, *, channels: int) -> None:
    """Compare a member with what its plan makes of the whole module, as a user will make it.

    Raises:
        InputError: it is another one.
    """
    side = member.resolution
    device = next(module.parameters()).device
    again = again.to(device)
    again.load_state_dict(module.state_dict())
    image = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    if not torch.allclose(run_once(again, (image,)), run_once(module, (image,)), rtol=1e-4, atol=1e-5):
        raise InputError(
            f"{member.module} keeps something besides its weights that depends on its widths, such as a buffer that is "
            "not saved, so its members cannot be made again from a file: make that buffer persistent."
        )
