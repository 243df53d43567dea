"""The whole path in Python, with values only: nothing is saved by hand on the way."""

import numpy as np

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem

random = np.random.default_rng(0)
labels = np.arange(240) % 3  # 0: an upright bar, 1: a lying bar, 2: a square
images = random.integers(0, 100, (240, 24, 24), np.uint8)
images[labels == 0, 4:20, 10:14] += 150
images[labels == 1, 10:14, 4:20] += 150
images[labels == 2, 8:16, 8:16] += 150
data = (images, labels)

stages = (Stage(block=MBConv(channels=8, expand_ratio=2, stride=2), repeats=2),)
small = Network(
    stem=Stem(channels=8), stages=stages, head=Head(channels=16, classes=3), resolution=24, name="small"
)
large = al.scale(small, budget="4x")
print(al.info(large))

recipe = al.recipes.small(epochs=2, batch_size=8)
run = al.train(small, data=data, recipe=recipe, out="runs/small")
larger = al.train(large, data=data, recipe=recipe, out="runs/large")
print(al.evaluate(larger, split="val").accuracy, al.predict(larger, images[:3]))
print(al.export(larger, to="onnx"), al.report(run, larger))

fitted = al.fit(small, data=data, alphas=(1, 1.4), gammas=(1,), epochs=2)
print(fitted.law, al.scale(small, budget="4x", law=fitted.law).resolution)

found = al.search(small, data=data, objective="accuracy", budget="100k", trials=2, epochs=1)
print(al.info(found.network))

family = al.supernet.train(small, data=data, budget="100k", epochs=2)
few = {"subnets": 20, "held_out": 10, "least_tau": 0.2}
subnet = al.supernet.search(family, budget="macs<=60k", **few)
device = al.supernet.extract(family, subnet)
print(device.network.resolution, device.evaluation.accuracy)
