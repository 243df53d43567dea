import pytest
from torch import nn

import allometry as al
from allometry.arch import save
from allometry.base import InputError, UnknownNameError


def test_a_network_by_value_name_and_file(tmp_path):
    network = al.get("efficientnet-b1")
    save(network, tmp_path / "b1.json")
    by_name, by_value, by_file = (al.info(one) for one in ("efficientnet-b1", network, tmp_path / "b1.json"))
    assert by_value == by_file
    assert by_name.network == network
    assert by_name.cost == al.count(network)
    assert by_name.growth.depth == 1.1
    assert by_value.growth is None
    assert sum(stage.macs for stage in by_value.stages) == by_value.cost.macs
    assert by_name.to_dict()["stages"][1]["layer"] == "MBConv1 3x3, SE"
    assert "MBConv1 3x3, SE" in by_name._repr_html_()


def test_at_another_resolution():
    assert al.info("mobilenetv2", resolution=448).cost.macs == 1199257088


def test_any_torch_module():
    convolution = nn.Conv2d(2, 8, 3)
    known = al.info(convolution, resolution=10)
    assert (known.cost.params, known.cost.macs) == (8 * 19, 8 * 18 * 64)
    assert repr(known) == "ModuleInfo(Conv2d, 10 px, 9,216 MACs, 152 params)"
    own = al.info(al.build(al.get("resnet-18")))
    assert own.cost.macs == al.count(al.get("resnet-18")).macs
    assert own.parts[0].name == "stem"
    assert own.to_dict()["parts"][0]["name"] == "stem"
    assert "classifier" in own._repr_html_()


@pytest.mark.parametrize(
    ("network", "error", "says"),
    [
        ("efficientnet-b9", UnknownNameError, "efficientnet-b"),
        ("missing.json", InputError, "Cannot read the network file"),
        ("mynets:make", InputError, "mynets"),
        (7, InputError, "not a int"),
    ],
)
def test_mistakes(network, error, says):
    with pytest.raises(error, match=says):
        al.info(network)
