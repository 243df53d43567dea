"""Run folders, written by hand."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allometry.arch import Network, apply_multipliers, save
from allometry.catalog import get
from allometry.cost import count

MakeRun = Callable[..., Path]


def small_network(classes: int, *, depth: float = 0.4, width: float = 0.46, resolution: int = 64) -> Network:
    b0 = get("efficientnet-b0")
    fitted = replace(b0, head=replace(b0.head, classes=classes), in_channels=1)
    return apply_multipliers(fitted, depth=depth, width=width, resolution=resolution / 224)


def trials(count_of: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"trial {index}",
            "law": {"alpha": 1 + index / 10, "beta": 1.1, "gamma": 1 + index % 2 / 10},
            "macs": 1_000_000 + 200_000 * index,
            "params": 50_000,
            "resolution": 48,
            "epochs": 3,
            "accuracy": 0.5 + index / 100,
            "loss": 1.9,
            "network": "0123",
            "seconds": 12.0,
            "images": 2400,
            "chosen": index == count_of - 1,
            "seed": 0,
        }
        for index in range(count_of)
    ]


def metrics(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "epochs": epochs,
            "step": 10 * epoch,
            "resolution": 64,
            "batch_size": 32,
            "learning_rate": 0.01,
            "images": 7901,
            "train_loss": 4 / epoch,
            "train_accuracy": 0.9 - 0.8 / epoch,
            "val_loss": 5 / epoch,
            "val_accuracy": 0.8712 - 0.8 / epoch + 0.8 / epochs,
            "images_per_second": 640.0,
            "seconds": 12.1,
        }
        for epoch in range(1, epochs + 1)
    ]


def evaluation(classes: Sequence[str]) -> dict[str, Any]:
    size = len(classes)
    confusion = [[8 if row == column else 0 for column in range(size)] for row in range(size)]
    confusion[0][1] = 2
    return {
        "split": "test",
        "images": 2481,
        "accuracy": 0.8874,
        "interval": [0.8743, 0.8991],
        "top5": 0.97,
        "loss": 0.4512,
        "classes": list(classes),
        "confusion": confusion,
        "top5_interval": [0.962, 0.976],
        "balanced_accuracy": 0.8651,
        "balanced_interval": [0.851, 0.879],
        "loss_interval": [0.412, 0.493],
        "brier": 0.158,
        "calibration_error": 0.0711,
        "calibration_interval": [0.0612, 0.0789],
        "calibration_by_chance": 0.0181,
        "calibration": [
            {
                "low": low,
                "high": low + 0.5,
                "images": images,
                "confidence": confidence,
                "accuracy": accuracy,
                "interval": [accuracy - 0.1, accuracy + 0.1],
            }
            for low, images, confidence, accuracy in ((0.0, 481, 0.3, 0.4), (0.5, 2000, 0.8, 0.88))
        ],
        "per_class": [
            {
                "name": name,
                "images": 8 + place,
                "predictions": 8,
                "accuracy": 1.0 - place / 1000,
                "interval": [0.676, 1.0],
                "precision": 0.8,
                "precision_interval": [0.6, 0.9],
                "f1": 0.889,
            }
            for place, name in enumerate(classes[:-1])
        ]
        + [
            {"name": classes[-1], "images": 0, "predictions": 0}
            | dict.fromkeys(("accuracy", "interval", "precision", "precision_interval", "f1"))
        ],
        "mistakes": [
            {
                "image": "set/one",
                "truth": classes[0],
                "predicted": classes[1],
                "confidence": 0.93,
                "thumbnail": thumbnail(),
            }
        ],
    }


def looks(classes: Sequence[str], answer: str = "") -> dict[str, Any]:
    """A drawn image that is answered rightly, and a wrong answer; another answer where one is given."""
    drawn = {
        "group": "drawn",
        "image": "set/drawn",
        "digest": "d1",
        "truth": classes[0],
        "predicted": answer or classes[0],
        "confidence": 0.81,
        "truth_probability": 0.81,
        "thumbnail": thumbnail(),
        "map": thumbnail(3),
    }
    wrong = drawn | {
        "group": "wrong",
        "image": "set/wrong",
        "digest": f"of its own {answer}",
        "predicted": classes[1],
        "truth_probability": 0.07,
        "truth_map": thumbnail(5),
    }
    return {"explanations": [drawn, wrong]}


def thumbnail(shade: int = 128) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (4, 4), shade).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def lines(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def contents(classes: Sequence[str], name: str, finished: str | None) -> dict[str, str]:
    network = small_network(len(classes))
    values: dict[str, Any] = {
        "run.json": {
            "format": 1,
            "command": "run",
            "arguments": {"data": "icons", "budget": "macs <= 10.0M", "baseline": "efficientnet-b0"},
            "name": name,
            "versions": {"allometry": "0.1.0", "torch": "2.13.0"},
            "device": "some processor, 2 threads",
            "seed": 7,
            "started": "2026-11-22T21:00:00+00:00",
            "finished": finished,
        },
        "data.json": {
            "name": "icons",
            "classes": list(classes),
            "channels": 1,
            "image_size": 96,
            "images": {"train": 7901, "val": 1371, "test": 2481},
            "per_class": {"train": {"least": 30, "median": 90, "most": 210}},
            "rejected": [{"path": "heart/broken.png", "reason": "not an image"}],
        },
        "plan.json": {
            "budget": [{"measure": "macs", "most": 10_000_000}],
            "cost": count(network).to_dict(),
            "law": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15},
            "phi": 2.0,
            "multipliers": {"depth": 1.44, "width": 1.21, "resolution": 1.3225},
        },
        "recipe.json": {"epochs": 20, "flip": False, "learning_rate": 0.004, "mixup": None},
        "evaluation.json": evaluation(classes),
        "explain.json": looks(classes),
        "export.json": {
            "file": "model.onnx",
            "bytes": 123456,
            "images": 256,
            "largest_difference": 1.2e-6,
            "agreement": 1.0,
            "runtime": "onnxruntime 1.32.0",
            "load_seconds": 0.1,
            "without": ["torch"],
        },
    }
    costs = [
        {"phase": "fit", "name": "a", "seconds": 30.0, "images": 6000, "device": "some processor"},
        {"phase": "fit", "name": "b", "seconds": 30.0, "images": 6000, "device": "some processor"},
        {"phase": "train", "name": "network", "seconds": 140.0, "images": 70000, "device": "some processor"},
    ]
    tables = {
        "trials.jsonl": lines(trials(5)),
        "metrics.jsonl": lines(metrics(4)),
        "costs.jsonl": lines(costs),
    }
    return {file: json.dumps(value) for file, value in values.items()} | tables


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Makes run folders: all files, or `only` some of them beside run.json."""

    def make(
        name: str = "icons-10M",
        *,
        classes: Sequence[str] = ("heart", "star", "moon", "sun", "cloud", "car"),
        only: Sequence[str] | None = None,
        finished: str | None = "2026-11-22T22:07:00+00:00",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in contents(classes, name, finished).items():
            if file == "run.json" or only is None or file in only:
                (folder / file).write_text(text)
        networks = {
            "network.json": small_network(len(classes)),
            "baseline.json": small_network(len(classes), depth=0.3, width=0.35, resolution=48),
        }
        for file, network in networks.items():
            if only is None or file in only:
                save(network, folder / file)
        return folder

    return make
