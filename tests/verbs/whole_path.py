"""From blocks to a delivered network, in Python with values only: nothing is saved by hand in between."""

import numpy as np

import allometry as al
from allometry.arch import Head, MBConv, Network, Stage, Stem

random = np.random.default_rng(0)
labels = np.arange(60) % 3
images = random.integers(0, 80, (60, 24, 24, 3)).astype(np.uint8)
images[np.arange(60), 4:20, 4:20, labels] += 150
data = (images, labels)

baseline = Network(
    name="mine",
    stem=Stem(channels=8),
    stages=(
        Stage(block=MBConv(channels=8, stride=2, se_ratio=0.25), repeats=2),
        Stage(block=MBConv(channels=16, kernel=5, stride=2), repeats=2),
    ),
    head=Head(channels=32, classes=3),
    resolution=24,
)
network = al.scale(baseline, budget="150k")
recipe = al.recipes.small(epochs=2, batch_size=16)
small_batches = ["batch_size=16"]
run = al.train(network, data=data, recipe=recipe)
print(al.evaluate(run), al.predict(run, images[0])[0].best)
print(al.export(run, to="onnx"))
fitted = al.fit(
    network, data=data, alphas=[1, 1.3], gammas=[1, 1.2], epochs=4, seeds=1, settings=small_batches
)
grown = al.train(al.scale(network, 1, law=fitted.law), data=data, recipe=recipe)
print(al.report(run, grown, out="compared.html"))
found = al.search(baseline, data=data, objective="accuracy", budget="150k", trials=3, epochs=1)
supernet = al.supernet.train(baseline, data=data, budget="400k", epochs=2, settings=small_batches)
subnet = al.supernet.search(supernet, budget="200k", subnets=20, held_out=10, least_tau=-1)
taken = al.supernet.extract(supernet, subnet)
print(found.network.name, taken.evaluation, al.open(taken.folder).network == subnet.network)
