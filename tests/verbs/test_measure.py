import numpy as np
import pytest
import torch
from torch import nn

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem, save
from allometry.base import InputError

TINY = Network(
    name="tiny",
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, stride=2)),),
    head=Head(channels=16, classes=4),
    in_channels=1,
    resolution=24,
)
QUICK = {"rounds": 1, "seconds": 0.01, "progress": False}


class Mine(nn.Module):
    """A class that a process of its own cannot import."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(image)).mean((2, 3))


@pytest.mark.slow
def test_modules_and_files_side_by_side(tmp_path):
    save(TINY, tmp_path / "tiny.json")
    mine = Mine().train()
    measured = al.measure([tmp_path / "tiny.json", mine], resolution=16, runtime=["torch"], **QUICK)
    assert [one.name for one in measured.measured] == [str(tmp_path / "tiny.json"), "Mine"]
    assert [one.resolution for one in measured.measured] == [16] * 2
    assert all(one.latency.median > 0 for one in measured.measured)
    assert measured.measured[1].bytes >= 4 * sum(weight.numel() for weight in mine.parameters())
    assert [one.name for one in measured.ratios] == ["Mine"]
    assert mine.training
    assert "Mine in torch: " in repr(measured)
    assert "Mine" in measured._repr_html_()
    assert measured.to_dict()["measured"][1]["name"] == "Mine"


def test_a_single_module_in_a_runtime_that_reads_files():
    measured = al.measure(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), resolution=8, runtime="onnxruntime", **QUICK
    )
    (one,) = measured.measured
    assert (one.name, one.runtime, one.resolution) == ("Sequential", "onnxruntime", 8)


@pytest.mark.parametrize(
    ("networks", "options", "says"),
    [
        ([], {}, "Name at least one network"),
        ("efficientnet-b9", {}, "efficientnet-b"),
        (TINY, {"runtime": "tensorrt"}, "'tensorrt'"),
        (TINY, {"batch": 0}, "batch must be at least 1"),
        (nn.Linear(3, 4), {"resolution": 8}, "Linear does not run in torch on an input of"),
        (TINY, {"precision": "bfloat16", "runtime": "onnxruntime"}, "float32 on CPUs"),
    ],
)
def test_mistakes(networks, options, says):
    with pytest.raises(InputError, match=says):
        al.measure(networks, **QUICK, **options)


def test_what_comes_out_of_the_file_is_what_the_module_says(tmp_path):
    from allometry.profiling.modules import write_module

    mine = Mine().eval()
    file = write_module(mine, tmp_path, runtime="torch", shape=(2, 3, 8, 8))
    image = torch.from_numpy(np.random.default_rng(0).random((2, 3, 8, 8), np.float32))
    with torch.inference_mode():
        assert torch.allclose(torch.export.load(file).module()(image), mine(image), atol=1e-6)
