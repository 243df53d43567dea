"""Folders of supernets and of extracted subnets, written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from allometry.arch import Space, save, save_space, to_json
from allometry.catalog import mbconv_space
from allometry.cost import count
from allometry.runs.phases import phases_to_json
from allometry.supernets import bignas, sandwich, shrinking
from tests.run_folders import contents, lines, looks, small_network

CLASSES = ("heart", "star", "moon", "sun", "cloud", "car")
PLANS = {"shrinking": shrinking, "sandwich": sandwich, "bignas": bignas}


def small_space() -> Space:
    network = small_network(len(CLASSES), depth=1.0)
    return mbconv_space(
        network, kernels=(3, 5), expand_ratios=(3, 6), depths=(1, 2), resolutions=(32, 64), name="mine"
    )


def epochs_of(space: Space, plan: str) -> list[dict[str, Any]]:
    """A line for each epoch of each phase; the largest network gets better with each."""
    found: list[dict[str, Any]] = []
    for phase, asked in enumerate(PLANS[plan](space, epochs=3), start=1):
        for epoch in range(1, asked.epochs + 1):
            found.append(
                {
                    "phase": phase,
                    "name": asked.name,
                    "epoch": epoch,
                    "epochs": asked.epochs,
                    "step": 10 * epoch,
                    "learning_rate": 0.01,
                    "images": 1000,
                    "train_accuracy": 0.5,
                    "train_loss": 2.0,
                    "largest": 0.7 + len(found) / 100,
                    "smallest": 0.6 + epoch / 100 - phase / 100,
                    "passes": 1000 * asked.subnets,
                    "seconds": 30.0,
                }
            )
    return found


def found_subnet(name: str, macs: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "budget": name.replace("-", " <= ").replace("5ms", "5 ms"),
        "network": json.loads(to_json(replace(small_space().smallest(), resolution=64))),
        "macs": macs,
        "params": 123_456,
        "activations": 1000,
        "memory": 1_000_000,
        "predicted_accuracy": 0.71,
        "validation_accuracy": 0.702,
        "test_accuracy": 0.694,
        "test_interval": [0.675, 0.712],
        **more,
    }


JUDGED = {
    "number": 20,
    "tau": 0.8,
    "attainable": 0.85,
    "spearman": 0.9,
    "rmse": 0.006,
    "mean_absolute_error": 0.0052,
    "bias": 0.0011,
    "fitted": 40,
    "bins": [
        {"number": 10, "predicted": 0.66, "measured": 0.65, "spread": 0.012},
        {"number": 10, "predicted": 0.70, "measured": 0.705, "spread": 0.008},
    ],
}
LATENCY = {
    "latency": 0.00148,
    "predicted_latency": 0.00141,
    "measured": {"runtime": "onnxruntime", "threads": 1, "batch": 1},
}


def write_supernet(folder: Path, *, plan: str = "shrinking", searched: bool = True, **more: Any) -> Path:
    """The folder of a supernet, before or after searches in it; `more` changes `run.json`."""
    folder.mkdir()
    space = small_space()
    plain = contents(CLASSES, folder.name, "2026-11-22T22:07:00+00:00")
    info = json.loads(plain["run.json"]) | {
        "command": "supernet train",
        "arguments": {
            "space": "efficientnet-b0",
            "data": "icons",
            "plan": plan,
            "epochs": 0,
            "coupled": False,
        },
    }
    (folder / "run.json").write_text(json.dumps(info | more))
    (folder / "data.json").write_text(plain["data.json"])
    save_space(space, folder / "space.json")
    save(space.largest(), folder / "network.json")
    (folder / "phases.json").write_text(
        json.dumps({"phases": phases_to_json(PLANS[plan](space, epochs=3)), "size": space.size})
    )
    (folder / "metrics.jsonl").write_text(lines(epochs_of(space, plan)))
    costs = [{"phase": "supernet", "name": "largest", "seconds": 90.0, "images": 9000, "device": "here"}]
    if searched:
        measured = [
            {
                "encoding": [0],
                "macs": 1_000_000 + 100_000 * each,
                "params": 50_000,
                "activations": 1000,
                "memory": 1_000_000,
                "accuracy": 0.6 + each / 100,
                "loss": 1.0,
                "correct": [1, 2],
                "losses": [3.5, 2.5],
                "seconds": 3.75,
                "images": 1000,
            }
            for each in range(8)
        ]
        (folder / "accuracies.jsonl").write_text(lines(measured))
        (folder / "predictor.json").write_text(json.dumps(JUDGED))
        write_found(folder, found_subnet("macs-2.00M", 1_900_000))
        write_found(folder, found_subnet("latency-1.5ms", 2_500_000, **LATENCY))
        front = {
            "name": "front-macs",
            "measure": "macs",
            "budget": None,
            "subnets": [
                found_subnet(f"front-macs-{place}", macs, validation_accuracy=0.61, budget=None)
                for place, macs in enumerate((900_000, 1_800_000), start=1)
            ],
            "size": 50,
            "examined": 1000,
            "search_seconds": 2.0,
            "tau": 0.8,
        }
        (folder / "subnets" / "front-macs").mkdir()
        (folder / "subnets" / "front-macs" / "front.json").write_text(json.dumps(front))
        costs.append(
            {
                "phase": "look",
                "name": "up to subnet 8",
                "seconds": 30.0,
                "images": 8000,
                "device": "here",
            }
        )
    (folder / "costs.jsonl").write_text(lines(costs))
    return folder


def write_found(folder: Path, found: dict[str, Any]) -> None:
    own = folder / "subnets" / str(found["name"])
    own.mkdir(parents=True)
    (own / "subnet.json").write_text(json.dumps(found))


def write_extracted(folder: Path, *, epochs: int = 0) -> Path:
    """The folder of a subnet that was taken out of a supernet."""
    folder.mkdir()
    plain = contents(CLASSES, folder.name, "2026-11-22T22:07:00+00:00")
    info = json.loads(plain["run.json"]) | {
        "command": "supernet extract",
        "arguments": {
            "supernet": "/runs/net",
            "subnet": "0123",
            "data": "icons",
            "epochs": epochs,
            "settings": [],
            "seed": 0,
        },
    }
    result = {
        "data": "icons",
        "network": "latency-1.5ms",
        "resolution": 32,
        **count(small_space().smallest()).to_dict(),
        "latency": 0.00148,
        "extracted_accuracy": 0.70,
        "validation_accuracy": 0.73 if epochs else 0.70,
        "test_accuracy": 0.8874,
        "test_interval": [0.8743, 0.8991],
        "test_images": 2481,
        "supernet": "/runs/net",
        "epochs": epochs,
        "budget": "latency <= 1.5 ms",
        "predicted_accuracy": 0.71,
    }
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "explain.json").write_text(json.dumps(looks(CLASSES)))
    for name in ("data.json", "evaluation.json", "recipe.json", *(["metrics.jsonl"] if epochs else [])):
        (folder / name).write_text(plain[name])
    save(replace(small_space().smallest(), name="latency-1.5ms"), folder / "network.json")
    return folder
