"""Damage to the files of a training: never used in silence, and what is whole goes on."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from allometry.base import RunFolderError, WeightsError
from allometry.nn import read_weights, save_weights
from allometry.training import Checkpoint, latest_checkpoint, load_weights, train

from .tasks import StopAfter

WEIGHTS = {"a": torch.arange(64.0).reshape(8, 8), "count": torch.tensor(3)}


def flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


DAMAGE = {
    "a zeroed tail": lambda raw: raw[:-16] + bytes(16),
    "a zeroed middle": lambda raw: raw[: len(raw) // 2] + bytes(8) + raw[len(raw) // 2 + 8 :],
    "one bit": lambda raw: flipped(raw, len(raw) - 40),
    "a bit of the header": lambda raw: flipped(raw, 12),
    "cut off": lambda raw: raw[: len(raw) // 2],
    "emptied": lambda _: b"",
}
every_damage = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


@every_damage
def test_damaged_weights_are_refused(damage, tmp_path):
    path = tmp_path / "final.safetensors"
    save_weights(path, WEIGHTS, metadata={"identity": "c0ffee"})
    assert torch.equal(load_weights(path)["a"], WEIGHTS["a"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match="damaged"):
        load_weights(path)
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(path)


def test_other_values_with_the_same_metadata_are_refused(tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    save_weights(ours, WEIGHTS)
    save_file(load_file(ours), theirs)  # whoever publishes weights writes no digest of ours
    assert set(read_weights(theirs).tensors) == set(WEIGHTS)
    with pytest.raises(RunFolderError, match="damaged"):
        load_weights(theirs)


@every_damage
@pytest.mark.parametrize(
    "name", ["weights.safetensors", "average.safetensors", "state.pt", "checkpoint.json"]
)
def test_the_checkpoint_before_a_damaged_one_is_used(damage, name, tmp_path):
    said = []
    for step in (1, 2, 3):
        Checkpoint(step=step, weights=WEIGHTS, average=WEIGHTS, state={"step": step}).write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    for step, left in ((3, 2), (2, None)):
        file = tmp_path / f"step-{step:08d}" / name
        file.write_bytes(damage(file.read_bytes()))
        if left is None:
            with pytest.raises(
                RunFolderError, match=r"step-00000003 is damaged .* and there is no other; remove"
            ):
                latest_checkpoint(tmp_path, say=said.append)
        else:
            assert latest_checkpoint(tmp_path, say=said.append).state == {"step": left}
    assert len(said) == 1
    assert "going on from the one before, of step 2." in said[0]


def test_a_training_goes_on_to_the_same_weights_from_the_checkpoint_before(make_job):
    whole, job = make_job("whole"), make_job("damaged")
    train(whole)
    with pytest.raises(Exception, match="goes on from there"):
        train(replace(job, should_stop=StopAfter(6)))
    steps = sorted((job.folder / "checkpoints").glob("step-*"))
    assert len(steps) == 2
    (steps[-1] / "weights.safetensors").write_bytes(b"")
    train(job)
    finals = [one.folder / "checkpoints" / "final.safetensors" for one in (whole, job)]
    assert finals[0].read_bytes() == finals[1].read_bytes()
