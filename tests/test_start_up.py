"""What a fresh process loads, and what the package shows of itself."""

import subprocess
import sys

import typer

import allometry
from allometry.cli import main
from allometry.cli.app import VERBS, app
from allometry.cli.export import TARGETS
from allometry.deploy import TARGETS as REGISTERED

HEAVY = ("torch", "numpy", "rich", "pydantic", "plotly", "onnx", "onnxruntime", "cv2", "PIL", "IPython")


def loaded(code):
    """Which heavy libraries and which rooms a fresh process has loaded after some code."""
    code += f"; import sys; print(sorted({{each.split('.')[0] for each in sys.modules}} & set({HEAVY})))"
    code += "; print(sorted({each.split('.')[1] for each in sys.modules if each.startswith('allometry.')}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [eval(line) for line in done.stdout.splitlines()[-2:]]  # noqa: S307 - lists of our own


def test_the_package_alone_loads_nothing():
    assert loaded("import allometry") == [[], ["_version"]]


def test_the_list_of_verbs_loads_no_room_but_the_command_line():
    libraries, rooms = loaded("from allometry.cli import main; main(['--help'])")
    assert libraries == []
    assert rooms == ["_version", "base", "cli"]


def test_the_help_of_no_verb_loads_torch():
    code = "from allometry.cli import main; from allometry.cli.app import VERBS\n"
    code += "for name in (name for verbs in VERBS.values() for name in verbs): main([name, '--help'])\n"
    libraries, _ = loaded(code + "pass")
    assert not {"torch", "numpy", "onnx", "plotly", "cv2"} & set(libraries)


def test_the_help_of_export_names_the_targets_that_are_registered():
    assert {target.name: tuple(known.name for known in target.precisions) for target in REGISTERED} == TARGETS


def test_a_network_is_scaled_and_counted_without_torch():
    libraries, _ = loaded("import allometry as al; al.count(al.scale(al.get('efficientnet-b0'), phi=1))")
    assert libraries == []


def test_dir_lists_the_public_names_and_each_can_be_had():
    assert dir(allometry) == sorted(allometry.__all__)
    for name in allometry.__all__:
        assert getattr(allometry, name) is not None
    assert not hasattr(allometry, "nothing_of_that_name")


def test_the_list_of_verbs_says_of_each_what_its_own_help_says():
    group = typer.main.get_command(app)
    for verbs in VERBS.values():
        for name, about in verbs.items():
            assert " ".join(group.get_command(None, name).help.partition("\n\n")[0].split()) == about


def test_every_verb_shows_its_help_with_an_example(capsys):
    for name in (name for verbs in VERBS.values() for name in verbs):
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"allometry {name}" in shown
        assert "Example" in shown or "COMMAND" in shown
