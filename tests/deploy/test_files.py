import importlib.util
from dataclasses import replace

import pytest

from allometry.base import InputError, MissingExtraError, UnknownNameError, VerificationError
from allometry.deploy import ExportConfig, verify, write_file, write_script
from allometry.nn import build
from tests.deploy.conftest import NETWORK, PREPROCESSING

DELIVERIES = [
    ExportConfig(normalize_inside=True),
    ExportConfig(format="openvino"),
    ExportConfig(format="torch"),
]
FURTHER = [
    ExportConfig(),
    ExportConfig(batch=3),
    ExportConfig(format="openvino", precision="bfloat16", batch=2),
    ExportConfig(format="openvino", normalize_inside=True),
    ExportConfig(format="torch", normalize_inside=True, batch=1),
    ExportConfig(format="executorch", batch=2),
]


def needs(kind):
    missing = {"openvino", "executorch"} & {kind}
    return pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in missing), reason=f"{kind} is not installed"
    )


def deliver(module, folder, export_config, *, preprocessing=PREPROCESSING):
    path = write_file(
        module, folder / export_config.file, preprocessing=preprocessing, export_config=export_config
    )
    script = write_script(
        folder / "predict.py", model=path, preprocessing=preprocessing, export_config=export_config
    )
    return path, {"script": script, "preprocessing": preprocessing, "export_config": export_config}


@pytest.mark.parametrize(
    "export_config",
    [pytest.param(each, marks=needs(each.format), id=repr(each)) for each in DELIVERIES]
    + [pytest.param(each, marks=[needs(each.format), pytest.mark.slow], id=repr(each)) for each in FURTHER],
)
def test_every_file_gives_the_networks_results_where_neither_is(module, views, tmp_path, export_config):
    path, how = deliver(module, tmp_path, export_config)
    found = verify(path, module, views, **how)
    assert found.images == len(views)
    assert found.largest_difference < (1e-4 if export_config.precision == "float32" else 0.1)
    assert "allometry" in found.without
    assert export_config.format in found.runtime
    assert found.bytes == sum(each.stat().st_size for each in tmp_path.iterdir() if each.suffix != ".py")


def test_a_file_of_another_network_does_not_pass(module, views, tmp_path):
    path, how = deliver(module, tmp_path, ExportConfig())
    with pytest.raises(VerificationError, match="does not give the network's results"):
        verify(path, build(NETWORK, seed=1), views, **how)
    other = build(replace(NETWORK, head=replace(NETWORK.head, classes=5)), seed=0)
    with pytest.raises(VerificationError, match=r"logits of shape \(7, 3\)"):
        verify(path, other, views, **how)


def test_a_file_that_does_not_load_says_so(module, views, tmp_path):
    path, how = deliver(module, tmp_path, ExportConfig())
    path.write_bytes(b"no network")
    with pytest.raises(VerificationError, match=r"where there is no allometry and no torch, did not come"):
        verify(path, module, views, **how)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"format": "coreml"}, UnknownNameError, "Possible: executorch, onnx"),
        ({"precision": "int4"}, UnknownNameError, "precision"),
        ({"precision": "bfloat16"}, InputError, "bfloat16 is delivered as openvino, not as onnx"),
        ({"format": "executorch"}, InputError, "have a fixed size and batch"),
        ({"batch": -1}, InputError, "batch must be at least 1, or 0"),
    ],
)
def test_what_does_not_go_together_is_told(asked, error, said):
    with pytest.raises(error, match=said):
        ExportConfig(**asked)


def test_a_missing_library_is_named_with_its_extra(module, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "executorch.exir", None)
    with pytest.raises(MissingExtraError, match=r"allometry\[executorch\]"):
        deliver(module, tmp_path, ExportConfig(format="executorch", batch=1))
    assert not list(tmp_path.iterdir())
