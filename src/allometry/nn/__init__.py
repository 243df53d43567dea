"""From data to torch: `build` gives an ordinary `torch.nn.Module`."""

from allometry.nn.activation_maps import class_activation_map
from allometry.nn.backbone import Backbone, FeatureInfo
from allometry.nn.blocks import GraphBlock
from allometry.nn.build import ConvNet, build, initialize, scale_residuals
from allometry.nn.foreign import (
    ModuleElasticity,
    ModulePlan,
    ScaledModule,
    apply_plan,
    cost_of_module,
    grow_average,
    module_space,
    scale_module,
    solve_module,
)
from allometry.nn.layers import (
    DropPath,
    SqueezeExcite,
)
from allometry.nn.modules import (
    ModuleCost,
    ModulePart,
    ModuleReport,
    count_module,
    input_channels,
    open_module,
    timm_config,
    watch_module,
)
from allometry.nn.pretrained import (
    Conventions,
    Pretrained,
    imagenet_classes,
    load_pretrained,
    read_weights,
    save_pretrained,
)
from allometry.nn.pretrained.files import save_weights

__all__ = [
    "Backbone",
    "ConvNet",
    "Conventions",
    "DropPath",
    "FeatureInfo",
    "GraphBlock",
    "ModuleCost",
    "ModuleElasticity",
    "ModulePart",
    "ModulePlan",
    "ModuleReport",
    "Pretrained",
    "ScaledModule",
    "SqueezeExcite",
    "apply_plan",
    "build",
    "class_activation_map",
    "cost_of_module",
    "count_module",
    "grow_average",
    "imagenet_classes",
    "initialize",
    "input_channels",
    "load_pretrained",
    "module_space",
    "open_module",
    "read_weights",
    "save_pretrained",
    "save_weights",
    "scale_module",
    "scale_residuals",
    "solve_module",
    "timm_config",
    "watch_module",
]
