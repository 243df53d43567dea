"""The supernet: the weights of the greatest network, of which every member of the space uses a part."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NoReturn, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from allometry.arch import Decisions, Network, Shape, Space
from allometry.base import InputError
from allometry.nn import ConvNet, initialize
from allometry.supernets.elastic_net import ElasticNet, LayerOptions
from allometry.supernets.places import Exit, LayerCandidate, LayerPlace, candidates_of, shapes_of, skeleton
from allometry.supernets.subnet_parts import Part, Subnet, host_name, prefixes, subnet_of
from allometry.training.batch_norm import batch_norms, synchronize
from allometry.training.devices import compile_layer


class Supernet(ElasticNet):
    """All networks of a space in one set of weights.

    Each layer of the greatest network is there once, as large as any member has it; where a space lets a layer be of
    different kinds, once for each kind. A member uses the first channels of each, the first layers of each group, and
    the middle of each kernel, multiplied by a learned matrix for each step from a side to the next smaller one.

    Whatever it is asked for is computed by the module that the member has by itself, with those parts of the weights:
    so what `extract` gives is what was trained.

    In training mode batch norms use the batch's own statistics and gather none, unless the options freeze them:
    those of one member would be wrong for another. In evaluation mode they use the greatest network's, in the same
    parts. `extract`, then `training.recalibrate_batch_norm` gives a member its own.

    Args:
        space: whose cells, if it has any, do not read the input of the cell before.
        options: how layers compute. Without drop rates there is no stochastic depth: layers come and go anyway.

    Raises:
        InputError: the space is not of that kind, or a place has options of one kind none of which has all the
            weights of the others.

    Shape:
        [N, in_channels, resolution, resolution] -> [N, classes]

    Source: Once-for-All (Cai et al. 2020), section 3.3, figure 3, and released code for the order of the kernels'
    matrices.

    Example:
        >>> from allometry.catalog import get, mbconv_space
        >>> b0 = get("efficientnet-b0")
        >>> space = mbconv_space(b0, kernels=(3, 5, 7), expand_ratios=(3, 6), depths=(1, 2))
        >>> supernet = build_supernet(space, seed=0)
        >>> supernet(torch.zeros(2, 3, 64, 64), space.smallest()).shape
        torch.Size([2, 1000])
    """

    def __init__(self, space: Space, *, options: LayerOptions = LayerOptions()) -> None:
        super().__init__()
        self.space, self.options = space, options
        self._sources: dict[LayerCandidate, Shape] = {}
        self._skeletons: dict[tuple[LayerCandidate, float, float | None, bool], nn.Module] = {}
        self._shapes: dict[LayerCandidate, dict[str, torch.Size]] = {}
        self.hosts = nn.ModuleDict()
        self.matrices = nn.ParameterDict()
        self.sides: dict[str, tuple[int, ...]] = {}
        places = candidates_of(space)
        for place, candidates in places.items():
            kinds = dict.fromkeys(candidate.kind for candidate in candidates)
            for kind in kinds:
                alike = {
                    candidate: source for candidate, source in candidates.items() if candidate.kind == kind
                }
                self._host(place, alike)
        self._check_order(places)

    def forward(self, x: Tensor, subnet: Subnet | Network, *, regularized: bool = True) -> Tensor:
        """Logits, [N, classes], of a member; with `regularized=False` nothing of it is dropped in training."""
        if isinstance(subnet, Network):
            subnet = self.subnet(subnet)
        for part in subnet.parts:
            if self.training and self.options.recompute and part.candidate.kind not in ("stem", "head"):
                x = cast(Tensor, checkpoint(self._layer, part, x, regularized, use_reentrant=False))
            else:
                x = self._layer(part, x, regularized)
        return x

    def set_options(self, options: LayerOptions) -> None:
        """Let the layers compute in another way from now on."""
        if options != self.options:
            self.options = options
            self._skeletons.clear()

    def subnet(self, member: Network | Decisions) -> Subnet:
        """A member of the space, by itself or by its decisions.

        Raises:
            NetworkError: it is no member; the message says what differs.
        """
        return subnet_of(self.space, member)

    def weights(self, part: Part, *, statistics: bool) -> dict[str, Tensor]:
        """The tensors that a layer of a subnet uses, by their names in it; gradients flow back through them.

        Args:
            part: the layer.
            statistics: whether batch norms' means and variances are among them.
        """
        host = self.hosts[part.host]
        held: dict[str, Tensor] = dict(host.named_parameters())
        if statistics:
            held |= dict(host.named_buffers())
        shapes = self._shapes[part.candidate]
        return {
            name: self._part_of(f"{part.host}/{name}", value, shapes[name])
            for name, value in held.items()
            if name in shapes
        }

    def extract(self, member: Subnet | Network) -> ConvNet:
        """The ordinary module of a member, with a copy of its weights; nothing of the supernet is in it.

        Its batch norms have the greatest network's statistics, in parts. Give it its own by
        `training.recalibrate_batch_norm`.

        Raises:
            NetworkError: it is no member.
        """
        subnet = self.subnet(member) if isinstance(member, Network) else member
        network = member if isinstance(member, Network) else subnet.network
        with torch.device("meta"):
            plain = ConvNet(network)
        tensors = {
            f"{prefix}{name}": value.detach().clone(memory_format=torch.contiguous_format)
            for prefix, part in zip(prefixes(network), subnet.parts, strict=True)
            for name, value in self.weights(part, statistics=True).items()
        }
        device = next(self.parameters()).device
        counters = (name for name, value in plain.named_buffers() if not value.is_floating_point())
        tensors |= {name: torch.zeros((), dtype=torch.long, device=device) for name in counters}
        plain.load_state_dict(tensors, assign=True)
        return plain

    def load_largest(self, module: nn.Module) -> None:
        """Take over the weights of a trained module of the greatest network, where there is one network of that size.

        Args:
            module: built from `space.largest()`.

        Raises:
            InputError: it is another network's.
        """
        subnet = self.subnet(self.space.largest())
        held = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
        taken: list[tuple[Tensor, Tensor]] = []
        for prefix, part in zip(prefixes(subnet.network), subnet.parts, strict=True):
            for name, value in self.weights(part, statistics=True).items():
                tensor = held.pop(f"{prefix}{name}", None)
                if tensor is None or tensor.shape != value.shape:
                    what = "missing" if tensor is None else f"{tuple(tensor.shape)}, not {tuple(value.shape)}"
                    self._refuse_weights(f"{prefix}{name} is {what}")
                taken.append((value, tensor))
        if held:
            self._refuse_weights(f"that network has no {next(iter(held))}")
        with torch.no_grad():
            for value, tensor in taken:
                value.copy_(tensor)

    def _refuse_weights(self, why: str) -> NoReturn:
        raise InputError(
            f"The weights are not those of the greatest network of {self.space.name or 'the space'}: {why}."
        )

    def _check_order(self, places: Mapping[LayerPlace, Mapping[LayerCandidate, Shape]]) -> None:
        """Refuse a space whose last options are not the largest ones."""
        largest = self.subnet(self.space.largest())
        layers = {part.host: part.candidate for part in largest.parts}
        wrong = [
            host
            for host, candidate in layers.items()
            if self._shapes[candidate] != shapes_of(self.hosts[host])
        ]
        for place, candidates in places.items():
            hosts = [host_name(place, candidate) for candidate in candidates]
            wrong += [] if layers.keys() & set(hosts) else hosts[:1]
        if wrong:
            raise InputError(
                f"The last option of every choice of {self.space.name or 'the space'} must be its largest: the network "
                f"of the last options does not use all weights of {wrong[0].replace('_', ' ')}."
            )

    def _host(self, place: LayerPlace, alike: Mapping[LayerCandidate, Shape]) -> None:
        """Make what holds the weights of all candidates of one kind, and the matrices between their kernels."""
        modules = {
            candidate: skeleton(candidate, source, self.space.template) for candidate, source in alike.items()
        }
        shapes = {candidate: shapes_of(module) for candidate, module in modules.items()}
        self._sources |= alike
        self._shapes |= shapes
        names = {name for known in shapes.values() for name in known}
        most = {name: _most([known[name] for known in shapes.values() if name in known]) for name in names}
        greatest = next((candidate for candidate, known in shapes.items() if known == most), None)
        if greatest is None:
            raise InputError(
                f"Of the options of stage {place.stage}, layer {place.layer}, none has all the weights that the "
                f"others have: {', '.join(repr(candidate.part) for candidate in list(alike)[:3])} ... Leave out those "
                "that share no weights, or let one option be the greatest in every respect."
            )
        host = host_name(place, greatest)
        self.hosts[host] = modules[greatest]
        for name in sorted(names):
            # Not every kernel is square: those of one row or column have no matrix, only their middle.
            sides = {known[name][2] for known in shapes.values() if name in known and _is_square(known[name])}
            if len(sides) > 1:
                self._kernels(f"{host}/{name}", sorted(sides, reverse=True))

    def _kernels(self, name: str, sides: list[int]) -> None:
        self.sides[name] = tuple(sides)
        for larger, smaller in pairwise(sides):
            matrix = torch.empty(smaller**2, smaller**2, device="meta")
            self.matrices[_matrix(name, larger, smaller)] = nn.Parameter(matrix)

    def _part_of(self, name: str, value: Tensor, shape: torch.Size) -> Tensor:
        """The first channels, and of a kernel the middle as it is seen at a smaller side."""
        if value.shape == shape:
            return value
        for dimension in range(min(2, value.ndim)):
            value = value.narrow(dimension, 0, shape[dimension])
        if value.ndim < 4 or value.shape == shape:
            return value
        for larger, smaller in pairwise(self.sides.get(name, ())):
            if larger <= shape[2]:
                break
            matrix = self.matrices[_matrix(name, larger, smaller)]
            middle = _middle(value, (smaller, smaller)).flatten(2)
            value = (middle @ matrix.T).unflatten(2, (smaller, smaller))
        return _middle(value, (shape[2], shape[3]))

    def _layer(self, part: Part, x: Tensor, regularized: bool) -> Tensor:
        module = self._skeleton(part, regularized=regularized)
        tensors = self.weights(part, statistics=not self.training or self.options.frozen_statistics)
        return cast(Tensor, functional_call(module, tensors, (x,), tie_weights=False))

    def _skeleton(self, part: Part, *, regularized: bool) -> nn.Module:
        candidate, options = part.candidate, self.options
        drop_rate = options.drop_rates.get(part.host, 0.0) if regularized else 0.0
        dropout = None
        if candidate.kind == "head":
            dropout = options.dropout if regularized else 0.0
        key = (candidate, drop_rate, dropout, self.training)
        known = self._skeletons.get(key)
        if known is not None:
            return known
        module = skeleton(candidate, self._sources[candidate], self.space.template, drop_rate=drop_rate)
        module.train(self.training)
        if isinstance(module, Exit) and dropout is not None:
            module.dropout.p = dropout
        for norm in batch_norms(module) if self.training else ():
            norm.train(not options.frozen_statistics)
            norm.track_running_stats = options.frozen_statistics
        if options.synchronize and self.training and not options.frozen_statistics:
            synchronize(module, device=next(self.parameters()).device)
        if options.compile and self.training:
            compile_layer(module)
        self._skeletons[key] = module
        return module


def build_supernet(space: Space, *, options: LayerOptions = LayerOptions(), seed: int) -> Supernet:
    """A supernet with initial weights as `nn.build` draws them; the matrices of kernels change nothing yet.

    Raises:
        InputError: a supernet cannot hold the space.

    Example:
        >>> from allometry.catalog import find_space
        >>> supernet = build_supernet(find_space("ofa-mobilenetv3-1.0"), seed=0)
        >>> sum(parameter.numel() for parameter in supernet.parameters())
        7678880
    """
    supernet = Supernet(space, options=options).to_empty(device="cpu")
    initialize(supernet, seed=seed)
    with torch.no_grad():
        for matrix in supernet.matrices.values():
            matrix.copy_(torch.eye(len(matrix)))
    return supernet


def supernet_of(
    space: Space, weights: Mapping[str, Tensor], *, options: LayerOptions = LayerOptions()
) -> Supernet:
    """A supernet with these weights, in evaluation mode; none are drawn.

    Args:
        space: that they are for.
        weights: by their names, as `Supernet.state_dict` gives them.
        options: how layers compute.

    Raises:
        InputError: a supernet cannot hold the space, or the weights are not for it.

    Example:
        >>> from allometry.catalog import find_space
        >>> space = find_space("proxylessnas")
        >>> weights = build_supernet(space, seed=0).state_dict()
        >>> supernet_of(space, weights).training
        False
    """
    supernet = Supernet(space, options=options).to_empty(device="cpu")
    try:
        supernet.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"The weights are not those of a supernet of {space!r}.") from error
    return supernet.eval()


def _matrix(name: str, larger: int, smaller: int) -> str:
    return f"{name.replace('.', '/')}/{larger}-{smaller}"


def _most(shapes: list[torch.Size]) -> torch.Size:
    return torch.Size(max(sizes) for sizes in zip(*shapes, strict=True))


def _is_square(shape: torch.Size) -> bool:
    return len(shape) == 4 and shape[2] == shape[3]


def _middle(kernel: Tensor, sides: tuple[int, int]) -> Tensor:
    """The middle of a kernel [out, in, height, width]."""
    for dimension, side in zip((2, 3), sides, strict=True):
        kernel = kernel.narrow(dimension, (kernel.shape[dimension] - side) // 2, side)
    return kernel
