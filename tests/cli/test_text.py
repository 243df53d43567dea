"""Names that a terminal library takes for markup, and long lines in pipes."""

import pytest

from allometry.cli import main
from allometry.cli.printing import print_line, print_rows, print_table, print_title

NAMES = ["[red]", "[/bold]", "photo[final].png", ":dog:", "\x1b[31mred", "caf\udce9", "\u202egnp.exe"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name, capsys):
    shown = name.replace("\x1b", "\\x1b").replace("\udce9", "\\xe9").replace("\u202e", "\\u202e")
    for show in (
        lambda: print_rows(name, {name: name}),
        lambda: print_table(["name", name], [[name, name]]),
        lambda: print_title(name, name),
        lambda: print_line(name),
    ):
        show()
        out = capsys.readouterr().out
        assert shown in out
        assert not {"\x1b", "\udce9", "\u202e"} & set(out)


def test_errors_show_names_as_they_are(capsys):
    assert main(["info", "[/bold]\x1b[31m.json"]) == 2
    err = capsys.readouterr().err
    assert "[/bold]\\x1b[31m.json" in err


def test_a_pipe_gets_whole_lines(capsys):
    path = "/".join(["folder"] * 200)
    print_rows("run", {"report": path})
    print_line(path)
    print_table(["name", "source"], [[path, path]])
    assert capsys.readouterr().out.count(path) == 4
