import pytest

import allometry as al
from allometry.base import BudgetError, UnknownNameError


def test_the_zoo_is_a_sequence_of_networks_with_their_costs():
    networks = al.zoo("v3", family="mobilenet")
    assert networks.names == ("mobilenetv3-large", "mobilenetv3-large-0.75", "mobilenetv3-small")
    assert [entry.network for entry in networks] == [al.get(name) for name in networks.names]
    assert [entry.cost for entry in networks] == [al.count(entry.network) for entry in networks]
    assert networks[0].published.top1 == 75.2
    assert networks[1:].names == networks.names[1:]
    assert repr(networks) == "Zoo(3 networks: mobilenetv3-large, mobilenetv3-large-0.75, mobilenetv3-small)"
    assert networks.to_dict()["networks"][2] == networks[2].to_dict()
    assert "<table>" in networks._repr_html_()
    assert "mobilenetv3-small" in networks._repr_html_()


def test_within_a_budget_as_a_value_or_text():
    limit = al.parse_budget("100M")
    assert al.zoo(within=limit) == al.zoo(within="100M")
    assert all(entry.cost.macs <= 10**8 for entry in al.zoo(within=limit))
    assert len(al.zoo(within="1k")) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"family": "mobilnet"}, UnknownNameError, "mobilenet"),
        ({"text": "mobilenetv9"}, UnknownNameError, "mobilenetv2"),
        ({"within": "speed<=1"}, BudgetError, "speed"),
        ({"within": "latency<=20ms"}, BudgetError, "not counted but measured"),
    ],
)
def test_mistakes(arguments, error, says):
    with pytest.raises(error, match=says):
        al.zoo(**arguments)
