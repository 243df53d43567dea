import io
import subprocess
import sys
import types

import pytest
from rich.console import Console

from allometry.base import SilentProgress, as_progress
from allometry.base.progress import LineProgress, tracked
from allometry.base.progress.notebook import NotebookProgress
from allometry.base.progress.stretch import Stretch
from allometry.base.progress.terminal import TerminalProgress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Cell:
    """The output of a notebook's cell: what was drawn, and whether it replaced what stood there."""

    def __init__(self):
        self.drawn = []
        self.shown = 0

    def __call__(self, drawing):
        self.shown += 1
        self.update(drawing)
        return self

    def update(self, drawing):
        self.drawn.append(drawing)


@pytest.fixture
def clock():
    return Clock()


def test_speed_is_that_of_the_recent_past(clock):
    stretch = Stretch("training", 10_000, 0, "images", now=0)
    for second in range(1, 101):
        stretch.advance(10 if second <= 50 else 100, now=float(second))
    assert stretch.speed == "100 img/s"
    assert stretch.left == "45 s"
    assert stretch.share == 0.55


def test_speed_and_time_left_are_unknown_at_first_and_small_speeds_keep_their_digits():
    stretch = Stretch("searching", 10, 4, "trials", now=0)
    assert (stretch.speed, stretch.left, stretch.share) == ("", "", 0.4)
    stretch.advance(1, now=50.0)
    assert (stretch.speed, stretch.left) == ("0.02 trials/s", "4 min 10 s")


def test_lines_come_at_the_start_every_ten_seconds_and_at_the_end(clock, capsys):
    progress = LineProgress(clock)
    progress.say("seed 0")
    progress.start("training", 1000, 200)
    for _ in range(25):
        clock.now += 1
        progress.advance(20, "loss 0.71")
    progress.stop()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "seed 0",
        "training: 1,000 images, 200 already done",
        "training: 40%, 20 img/s, 30 s left, loss 0.71",
        "training: 60%, 20 img/s, 20 s left, loss 0.71",
        "training: 25 s",
    ]


def test_of_what_takes_no_second_there_is_one_line(clock, capsys):
    with tracked(LineProgress(clock), "checking images", 8) as advance:
        clock.now += 0.9
        advance(8)
    assert capsys.readouterr().err == "checking images: 8 images\n"


def test_a_notebook_gets_one_output_that_is_drawn_anew_at_most_four_times_a_second(clock):
    cell = Cell()
    progress = NotebookProgress(cell, clock)
    progress.say("data: <icons>")
    progress.start("training", 1000)
    for _ in range(100):
        clock.now += 0.01
        progress.advance(5, "loss 0.7")
    assert cell.shown == 1
    assert len(cell.drawn) <= 2 + 4
    assert repr(cell.drawn[-1]) == "data: <icons>\ntraining 50% · 500 img/s · 1.0 s left · loss 0.7"
    page = cell.drawn[-1]._repr_html_()
    assert "width:50.0%" in page
    assert "data: &lt;icons&gt;" in page
    clock.now += 1
    progress.advance(500, "loss 0.6")
    progress.stop()
    assert repr(cell.drawn[-1]) == "data: <icons>\ntraining: 1,000 images in 2.0 s, 500 img/s, loss 0.6"


def test_a_part_of_a_stretch_has_a_bar_below_it_and_leaves_nothing(clock):
    cell = Cell()
    progress = NotebookProgress(cell, clock)
    with tracked(progress, "searching", 2, unit="trials") as advance:
        with tracked(progress, "trial 1", 64):
            assert [bar.label for bar in cell.drawn[-1].bars] == ["searching", "trial 1"]
        assert [bar.label for bar in cell.drawn[-1].bars] == ["searching"]
        clock.now += 4
        advance(1, "0.81")
    assert repr(cell.drawn[-1]) == "searching: 1 of 2 trials in 4.0 s, 0.2 trials/s, 0.81"


def test_in_a_notebook_what_takes_no_second_leaves_nothing(clock):
    cell = Cell()
    with tracked(NotebookProgress(cell, clock), "checking images", 8) as advance:
        clock.now += 0.9
        advance(8)
    assert repr(cell.drawn[-1]) == ""


def test_a_stretch_ends_however_its_block_is_left(clock):
    cell = Cell()
    progress = NotebookProgress(cell, clock)
    with pytest.raises(KeyboardInterrupt), tracked(progress, "training", 10):
        raise KeyboardInterrupt
    assert cell.drawn[-1].bars == ()


def test_a_terminals_bars_fit_its_width_and_the_cursor_comes_back(clock):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, height=20, legacy_windows=False)
    progress = TerminalProgress(console, clock)
    progress.say("[not markup] and a sentence that is too long for one line of sixty columns")
    progress.start("searching", 3, unit="trials")
    progress.start("trial 1, a label that is rather long for its line", 64)
    clock.now += 2
    progress.advance(32, "loss 0.7, and many more words than there is room for on a line")
    progress.stop()
    progress.advance(3, "0.81")
    progress.stop()
    text = file.getvalue()
    assert "[not markup] and a sentence" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert "2.0 s" in text


@pytest.fixture
def terminal(monkeypatch):
    """Whether the error stream is a terminal."""

    def be(answer, term="xterm"):
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: answer))

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    return be


def test_the_display_is_the_one_that_fits(terminal):
    terminal(False)
    assert isinstance(as_progress(True), LineProgress)
    assert isinstance(as_progress(False), SilentProgress)
    terminal(True, term="dumb")
    assert isinstance(as_progress(True), LineProgress)
    terminal(True)
    assert isinstance(as_progress(True), TerminalProgress)


@pytest.mark.parametrize(
    ("shell", "display"),
    [("ZMQInteractiveShell", NotebookProgress), ("TerminalInteractiveShell", LineProgress)],
)
def test_a_notebook_is_known_by_its_shell(terminal, monkeypatch, shell, display):
    terminal(False)
    colab = type("Shell", (type(shell, (), {}),), {})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=colab))
    assert isinstance(as_progress(True), display)


def test_neither_rich_nor_ipython_is_loaded_before_it_is_needed():
    code = (
        "import sys; from allometry.base import as_progress; as_progress(True); "
        "print(sorted({'rich', 'IPython', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
