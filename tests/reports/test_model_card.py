from pathlib import Path

from allometry.reports.model_card import model_card
from allometry.runs import ClassSizes, DataSummary, RunRecord


def test_names_are_no_markdown():
    data = DataSummary(
        name="[x](http://x) <b>",
        classes=("[bold]", "a`b", "``"),
        channels=3,
        image_size=8,
        images={"train": 3},
        per_class={"train": ClassSizes(least=1, median=1.0, most=1)},
    )
    card = model_card(RunRecord(folder=Path("a"), name="a", data=data), repo="me/a", license="mit")
    assert "`[bold]`, `` a`b ``, ``` `` ```." in card
    assert r"- data: \[x\](http://x) \<b\> (3 train images)" in card
