"""A supernet of a torch module: its own weights, of which every member of its space uses a part."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, cast

from torch import Tensor, nn
from torch.func import functional_call

from allometry.arch import ModuleMember, ModuleSpace
from allometry.base import InputError
from allometry.nn.channels import named_tensors
from allometry.nn.foreign.members import ModuleMembers, TensorPart, fill_in_place
from allometry.supernets.elastic_net import ElasticNet, LayerOptions
from allometry.training.batch_norm import batch_norms, synchronize

_KEPT = 64  # members that are ready to compute: each is a copy of the module without values


class ModuleSubnet(NamedTuple):
    """A member of a module's supernet, ready to compute.

    Attributes:
        network: that it is.

    Example:
        >>> member = ModuleMember(module="nets:make", decisions={"resolution": 8}, params=50, macs=900)
        >>> ModuleSubnet(member).network.macs
        900
    """

    network: ModuleMember


class _Ready(NamedTuple):
    """A member in one mode: its module without values, and the parts of tensors that it takes then."""

    module: nn.Module
    parts: Mapping[str, TensorPart]


class ElasticModule(ElasticNet):
    """All members of a module's space in the weights of the module.

    A member uses the first channels of each group and the first blocks of each run. What it computes is computed by the
    module's own code, made narrower and shallower, with those parts of the weights: so what `extract` gives is what was
    trained, and the largest member is the module itself.

    In training mode batch norms use the batch's own statistics and gather none, unless the options freeze them. What is
    not regularized runs as in evaluation but for that, since how a module drops what it drops is its own.

    Args:
        members: of its space.
        module: the whole one, whose weights these are; it is not copied.
        options: how its layers compute; of a module there are `frozen_statistics` and `synchronize`.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]

    Example:
        >>> import torch
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> supernet = ElasticModule(ModuleMembers.of(space, net), net)
        >>> supernet(torch.zeros(2, 3, 8, 8), space.smallest()).shape, supernet.extract(space.smallest())[0]
        (torch.Size([2, 2]), Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1)))
    """

    def __init__(
        self, members: ModuleMembers, module: nn.Module, *, options: LayerOptions = LayerOptions()
    ) -> None:
        super().__init__()
        self.members, self.module, self.options = members, module, options
        self._ready: OrderedDict[tuple[tuple[float, ...], bool, bool], _Ready] = OrderedDict()

    @property
    def space(self) -> ModuleSpace:
        """Of its members."""
        return self.members.space

    def forward(self, x: Tensor, subnet: ModuleSubnet | ModuleMember, *, regularized: bool = True) -> Tensor:
        """Logits, [N, classes], of a member; with `regularized=False` nothing of it is dropped in training."""
        if isinstance(subnet, ModuleMember):
            subnet = self.subnet(subnet)
        ready = self._made_ready(subnet.network, regularized=regularized)
        held = dict(named_tensors(self.module))
        tensors = {name: part.of(held[part.name]) for name, part in ready.parts.items()}
        return cast(Tensor, functional_call(ready.module, tensors, (x,)))

    def set_options(self, options: LayerOptions) -> None:
        """Let the layers compute in another way from now on."""
        if options != self.options:
            self.options = options
            self._ready.clear()

    def subnet(self, member: ModuleMember | Mapping[str, float]) -> ModuleSubnet:
        """A member of the space, by itself or by its decisions.

        Raises:
            NetworkError: it is no member; the message says what differs.
        """
        chosen = self.space.decisions_of(member) if isinstance(member, ModuleMember) else member
        return ModuleSubnet(self.space.network(chosen))

    def extract(self, member: ModuleSubnet | ModuleMember) -> nn.Module:
        """The member as a module of the same classes with a copy of its weights.

        Its batch norms have the whole module's statistics, in parts. Give it its own by
        `training.recalibrate_batch_norm`.

        Raises:
            NetworkError: it is no member.
        """
        network = member if isinstance(member, ModuleMember) else member.network
        skeleton = self.members.skeleton(self.space.decisions_of(network))
        fill_in_place(skeleton.module, skeleton.parts, dict(named_tensors(self.module)).__getitem__)
        return skeleton.module.eval()

    def load_largest(self, module: nn.Module) -> None:
        """Take over the weights of a trained module of the largest member.

        Raises:
            InputError: it is another one's.
        """
        load_tensors(self.module, module.state_dict(), called=self.space.module)

    def _made_ready(self, member: ModuleMember, *, regularized: bool) -> _Ready:
        key = (tuple(member.decisions.values()), self.training, regularized)
        known = self._ready.get(key)
        if known is None:
            known = self._ready[key] = self._make_ready(member, regularized=regularized)
            if len(self._ready) > _KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return known

    def _make_ready(self, member: ModuleMember, *, regularized: bool) -> _Ready:
        skeleton, options = self.members.skeleton(member.decisions), self.options
        module = skeleton.module.train(self.training and regularized)
        own = self.training and not options.frozen_statistics
        for norm in batch_norms(module):
            norm.train(own)
            if own:
                norm.track_running_stats = False
        if own and options.synchronize:
            synchronize(module, device=next(self.parameters()).device)
        statistics = {
            f"{name}.{buffer}"
            for name, part in module.named_modules()
            if own and isinstance(part, nn.modules.batchnorm._BatchNorm)
            for buffer, _ in part.named_buffers(recurse=False)
        }
        parts = {name: part for name, part in skeleton.parts.items() if name not in statistics}
        return _Ready(module, parts)


def supernet_of_module(
    space: ModuleSpace,
    module: nn.Module,
    weights: Mapping[str, Tensor] | None = None,
    *,
    options: LayerOptions = LayerOptions(),
) -> ElasticModule:
    """The supernet of a module's space, in evaluation mode.

    Args:
        space: of its members.
        module: as its factory gives it; stays as it is.
        weights: by their names, as `ElasticModule.state_dict` gives them; None for those that the module has.
        options: how layers compute.

    Raises:
        InputError: the module is not that of the space, or the weights are not for it.

    Example:
        >>> import torch
        >>> from allometry.nn import ModuleElasticity, module_space
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))
        >>> space = module_space(net, resolution=8, elasticity=ModuleElasticity(widths=(0.5,), resolutions=()))
        >>> supernet, images = supernet_of_module(space, net), torch.ones(1, 3, 8, 8)
        >>> bool((supernet(images, space.largest()) == net(images)).all())
        True
    """
    own = copy.deepcopy(module)
    supernet = ElasticModule(ModuleMembers.of(space, own), own, options=options)
    if weights is not None:
        load_tensors(supernet, weights, called=space.module)
    return supernet.eval()


def load_tensors(module: nn.Module, weights: Mapping[str, Tensor], *, called: str) -> None:
    """Put weights into a module, all of them.

    Raises:
        InputError: they are not its.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"The weights are not those of {called}.") from error
