"""An export target from outside the package: weights with a list of operations, and a runtime of forty lines of NumPy.

A module as a user's own would be: registered here, and named to the command line with `--plugin`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from allometry.base.files import placing
from allometry.deploy import ExportTarget, Precision, RuntimeSnippet, WriteRequest, register_target
from allometry.deploy.targets import FLOAT32
from allometry.runs import NoisyLayer

EIGHT_BITS = Precision("weights8", min_agreement=0.0, calibrated=True)

CODE = """RUNTIME = f"numpy {np.__version__}"


def conv2d(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    parts = np.split(windows, groups, 1), np.split(weight, groups)
    made = [np.einsum("nchwij,ocij->nohw", part, own, optimize=True) for part, own in zip(*parts)]
    made = np.concatenate(made, 1)
    return made if bias is None else made + bias[:, None, None]


def batch_norm(x, weight, bias, mean, var, momentum, eps):
    scale = weight / np.sqrt(var + eps)
    return ((x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None],)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


OPERATIONS = {
    "conv2d": conv2d,
    "_native_batch_norm_legit_no_training": batch_norm,
    "getitem": lambda values, place: values[place],
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "mean": lambda x, axes, keep=False: x.mean(tuple(axes), keepdims=keep),
    "mul": np.multiply,
    "add": np.add,
    "clone": lambda x: x,
    "linear": lambda x, weight, bias: x @ weight.T + bias,
}


def open_model(path):
    held = dict(np.load(path))
    steps = json.loads(str(held.pop("steps")))

    def run(inputs):
        values = {**held, "input": inputs.astype(np.float32)}
        for name, operation, given in steps:
            taken = [values[one["value"]] if isinstance(one, dict) else one for one in given]
            values[name] = OPERATIONS[operation](*taken)
        return values[name].astype(np.float32)

    return run"""


@dataclass(frozen=True)
class NumpyTarget(ExportTarget):
    """What a network computes as a list in an `.npz` file, for NumPy alone.

    Attributes:
        compress: make the file smaller.
    """

    compress: bool = False

    name = "numpy"
    suffix = ".npz"
    precisions = (FLOAT32, EIGHT_BITS)
    open_size = False
    pixels = False

    def write(self, request: WriteRequest, path: Path) -> None:
        self._save(path, *operations(request))

    def quantize(
        self, request: WriteRequest, path: Path, *, float32: Path, batches: Sequence[np.ndarray]
    ) -> tuple[NoisyLayer, ...]:
        assert float32.exists()
        assert batches[0].dtype == np.float32
        steps, weights = operations(request)
        rounded, noises = {}, []
        for name, weight in weights.items():
            scale = np.abs(weight).max() / 127 if weight.ndim == 4 else 0
            rounded[name] = (np.rint(weight / scale) * scale).astype(np.float32) if scale else weight
            noise = np.linalg.norm(rounded[name] - weight) / max(np.linalg.norm(weight), 1e-9)
            noises.append(NoisyLayer(name=name, noise=float(noise)))
        self._save(path, steps, rounded)
        return tuple(sorted(noises, key=lambda layer: -layer.noise))

    def snippet(self, precision: str) -> RuntimeSnippet:
        del precision
        return RuntimeSnippet(needs="nothing more", imports="import json", code=CODE)

    def _save(self, path: Path, steps: str, weights: dict[str, np.ndarray]) -> None:
        with placing(path.parent) as beside:
            (np.savez_compressed if self.compress else np.savez)(beside / path.name, steps=steps, **weights)


def operations(request: WriteRequest) -> tuple[str, dict[str, np.ndarray]]:
    """Every operation of a module in order, as JSON, and its weights."""
    program = torch.export.export(request.module, (request.example,)).run_decompositions({})
    held = {**program.graph_signature.inputs_to_parameters, **program.graph_signature.inputs_to_buffers}
    places = {node.name: "input" for node in program.graph.nodes if node.op == "placeholder"} | held
    weights = {name: program.state_dict[name].detach().numpy() for name in held.values()}
    steps = [
        [
            node.name,
            getattr(node.target, "_opname", None) or node.target.__name__,
            [
                {"value": places.get(one.name, one.name)} if isinstance(one, torch.fx.Node) else one
                for one in node.args
            ],
        ]
        for node in program.graph.nodes
        if node.op == "call_function"
    ]
    return json.dumps(steps), weights


register_target(NumpyTarget())
