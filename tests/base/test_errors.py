import pytest

from allometry.base import AllometryError, InputError, UnknownNameError


def test_near_names_are_offered_and_far_ones_listed():
    known = ["efficientnet-b0", "efficientnet-b1", "resnet-50"]
    assert "Did you mean 'efficientnet-b0' or 'efficientnet-b1'?" in str(
        UnknownNameError("network", "efficientnet", known)
    )
    assert str(UnknownNameError("network", "xyz", known, "Look.")).endswith(
        "Possible: efficientnet-b0, efficientnet-b1, resnet-50. Look."
    )


def test_a_users_mistake_is_an_ordinary_value_error():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, AllometryError)
    with pytest.raises(KeyError):
        raise UnknownNameError("network", "x", ["y"])
