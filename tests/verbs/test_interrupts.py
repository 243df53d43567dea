"""Ctrl-C in Python, or a notebook's stop button: the folder goes on where it was."""

import signal

import pytest

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem
from allometry.base import SilentProgress
from allometry.training import load_weights
from tests.images import shapes
from tests.training.test_loop import same

TINY = Network(
    stem=Stem(channels=8),
    stages=(Stage(block=MBConv(channels=8, expand_ratio=2, stride=2)),),
    head=Head(channels=16, classes=3),
    resolution=16,
)
STEPS = 3 * 6  # epochs, and the steps of each


class Interrupting(SilentProgress):
    """The user presses Ctrl-C in the middle of a training step."""

    def __init__(self, step):
        self.left, self.training = step, False

    def start(self, label, total, done=0, unit="images"):  # noqa: ARG002 - the label tells enough
        self.training = label == "training"

    def advance(self, count, info=""):  # noqa: ARG002
        self.left -= self.training
        if self.training and self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def ctrl_c():
    """Python's own answer to Ctrl-C, which a process has not that was started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def weights(run):
    return load_weights(run.folder / "checkpoints" / "final.safetensors")


def test_the_same_call_goes_on_and_ends_with_the_same_weights(tmp_path):
    images, labels = shapes(20, size=16, seed=0)

    def train(name, progress):
        recipe = al.recipes.small(epochs=3, batch_size=8)
        return al.train(
            TINY, data=(images, labels), recipe=recipe, out=tmp_path / name, device="cpu", progress=progress
        )

    straight = train("straight", False)
    for step in (1, STEPS // 2, 2):
        with pytest.raises(KeyboardInterrupt):
            train("stopped", Interrupting(step))
        assert not al.open(tmp_path / "stopped").finished
    stopped = train("stopped", False)
    assert stopped.finished
    assert same(weights(straight), weights(stopped))
    assert [epoch.epoch for epoch in stopped.history] == [1, 2, 3]
    assert stopped.evaluation == straight.evaluation
