"""Weights of a torch module brought to a budget, by the function and by the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from allometry.base import InputError
from allometry.cli.app import app
from allometry.nn import ModulePlan, apply_plan, read_weights
from allometry.training.pretrained import open_pretrained
from allometry.verbs import grow_module as verb
from allometry.verbs.grow_module import grow_module_file

SOURCE = """
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5),
    )
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a module that a user wrote."""
    (tmp_path / "their_nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_nets", raising=False)
    torch.manual_seed(0)
    torch.save(_make().state_dict(), tmp_path / "best.pt")
    return tmp_path / "best.pt"


def _make() -> nn.Module:
    import their_nets  # type: ignore[import-not-found]

    made: nn.Module = their_nets.make()
    return made


def test_the_plan_and_the_weights_give_the_module_again(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "larger"
    grown = grow_module_file(weights, module="their_nets:make", budget="2x", resolution=32, out=out)
    again = apply_plan(_make(), ModulePlan.load(out / verb.PLAN))
    again.load_state_dict(read_weights(str(out / verb.WEIGHTS)).tensors, strict=False)
    image = torch.randn(1, 3, 32, 32)
    before = _make()
    before.load_state_dict(torch.load(weights, weights_only=True))
    assert torch.allclose(again.eval()(image), before.eval()(image), atol=1e-5)
    assert 0.9 < grown.scaled.macs / (2 * grown.macs) <= 1


def test_a_latency_is_reached_in_a_few_readings(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A device on which a million MACs take a millisecond, and a run half a millisecond besides.
    monkeypatch.setattr(
        verb, "_seconds", lambda module, image, _where: 5e-4 + verb.cost_of_module(module, image).macs / 1e9
    )
    grown = grow_module_file(weights, module="their_nets:make", budget="latency<=2ms", resolution=64)
    assert grown.seconds is not None
    assert 0.9 * 2e-3 <= grown.seconds <= 2e-3


def test_the_command_line_tells_the_plan_and_writes_nothing_in_a_dry_run(
    weights: Path, tmp_path: Path
) -> None:
    arguments = [
        "grow",
        str(weights),
        "--module",
        "their_nets:make",
        "--budget",
        "0.5x",
        "--resolution",
        "32",
    ]
    out = tmp_path / "smaller"
    told = CliRunner().invoke(app, [*arguments, "--dry-run", "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "0.weight" in told.output
    assert not out.exists()
    told = CliRunner().invoke(app, [*arguments, "--kernel-size", "5", "--dry-run"])
    assert "5 x 5" in told.output, told.output
    made = CliRunner().invoke(app, [*arguments, "--out", str(out), "--json"])
    assert json.loads(made.output)["after"]["macs"] < json.loads(made.output)["before"]["macs"]
    assert (out / verb.PLAN).exists()


def test_larger_kernels_are_in_the_plan_that_is_saved(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "larger"
    grown = grow_module_file(
        weights, module="their_nets:make", budget="4x", resolution=32, kernel_size=5, method="pairs", out=out
    )
    assert [change.after for change in ModulePlan.load(out / verb.PLAN).kernels] == [(5, 5), (5, 5)]
    assert grown.scaled.difference is not None
    assert grown.scaled.difference < 1e-5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"budget": "1000000000x"}, "of this machine's memory"),
        ({"module": "their_nets:mak"}, "No factory of their_nets is named 'mak'. Did you mean 'make'"),
        ({"module": "their_nets"}, "package.module:factory, not 'their_nets'"),
        ({"budget": "activations<=5M"}, "not counted"),
        ({"seed": -1}, "seed"),
        ({"law": "resolution"}, "grows the input alone, and that of a module stays"),
    ],
)
def test_what_cannot_be_is_one_sentence(weights: Path, more: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grow_module_file(weights, **{"module": "their_nets:make", "budget": "2x", "resolution": 32, **more})


def test_options_of_our_networks_do_not_go_with_a_module(weights: Path) -> None:
    arguments = ["grow", str(weights), "--module", "their_nets:make", "--budget", "2x", "--recipe", "small"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert "--recipe does not go with --module" in str(result.exception)


def test_a_module_of_gray_images_that_gives_maps_grows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gray_nets.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    first, second = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)\n"
        "    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(32, 2, 1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import gray_nets  # type: ignore[import-not-found]

    torch.save(gray_nets.make().state_dict(), tmp_path / "gray.pt")
    grown = grow_module_file(tmp_path / "gray.pt", module="gray_nets:make", budget="2x", resolution=32)
    assert grown.scaled.module[0].out_channels > 16


def test_a_classifier_of_gray_images_is_opened_as_predict_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gray_classes.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import gray_classes  # type: ignore[import-not-found]

    torch.save(gray_classes.make().state_dict(), tmp_path / "gray.pt")
    opened = open_pretrained("gray_classes:make", str(tmp_path / "gray.pt"))
    assert (opened.preprocessing.channels, len(opened.preprocessing.mean)) == (1, 1)


def test_data_give_batch_norms_their_statistics(weights: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (24, 32, 32, 3), np.uint8)
    known = {"module": "their_nets:make", "resolution": 32, "progress": False}
    data = (images, np.arange(24) % 2)
    smaller = grow_module_file(weights, budget="0.5x", data=data, **known).scaled.module[1]
    assert not smaller.running_mean.eq(0).any()
    larger = grow_module_file(weights, budget="2x", data=data, **known).scaled.module[1]
    assert larger.running_mean[:16].eq(0).all()
    assert not larger.running_mean[16:].eq(0).any()
    with pytest.raises(InputError, match="takes images of 3 channels, and those of arrays have 1"):
        grow_module_file(weights, budget="2x", data=(images[..., :1], data[1]), **known)
    with pytest.raises(InputError, match="nothing to group"):
        grow_module_file(weights, budget="2x", group="folder", **known)
