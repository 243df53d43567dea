"""Modules that are not made from our data, made larger or smaller with the weights that they have."""

from allometry.nn.foreign.average import grow_average
from allometry.nn.foreign.depth import Insertion
from allometry.nn.foreign.elasticity import ModuleElasticity
from allometry.nn.foreign.forms import AttributeChange, BlockForm, ShapeChange
from allometry.nn.foreign.kernels import KernelChange
from allometry.nn.foreign.plan import GroupChange, Kept, ModulePlan, apply_plan
from allometry.nn.foreign.runs import BlockRun, find_runs
from allometry.nn.foreign.scale import ScaledModule, scale_module
from allometry.nn.foreign.solve import cost_of_module, solve_module
from allometry.nn.foreign.space_of_module import module_space

__all__ = [
    "AttributeChange",
    "BlockForm",
    "BlockRun",
    "GroupChange",
    "Insertion",
    "Kept",
    "KernelChange",
    "ModuleElasticity",
    "ModulePlan",
    "ScaledModule",
    "ShapeChange",
    "apply_plan",
    "cost_of_module",
    "find_runs",
    "grow_average",
    "module_space",
    "scale_module",
    "solve_module",
]
