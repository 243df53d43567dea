"""A search on a real PostgreSQL server: .ci/run starts one and names it in ALLOMETRY_TEST_POSTGRESQL."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from allometry.nas import drive
from tests.nas import test_driver as plain

URL = os.environ.get("ALLOMETRY_TEST_POSTGRESQL", "")
pytestmark = pytest.mark.skipif(
    not URL, reason="ALLOMETRY_TEST_POSTGRESQL names no server; .ci/run starts one"
)


@pytest.fixture
def study():
    """A search of its own in the shared database."""
    return uuid.uuid4().hex


def test_two_drivers_share_a_search(study, tmp_path):
    evaluators = [plain.Evaluator(2), plain.Evaluator(2)]

    def one(place):
        with plain.store(URL, alone=False, driver=str(place), study=study) as opened:
            return plain.told(drive(plain.QUESTION, opened, plain.proposals(), evaluators[place], trials=20))

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(one, (0, 1)))
    alone = plain.told(plain.search(f"sqlite:///{tmp_path}/b.db", plain.Evaluator()))
    assert found[0] == found[1] == alone
    assert sorted(evaluators[0].seen + evaluators[1].seen) == list(range(20))


def test_a_killed_driver_loses_no_trial_and_none_counts_twice(study, tmp_path, monkeypatch):
    plain.killed(URL, alone=False, study=study)
    monkeypatch.setattr("allometry.nas.database.GRACE", 2)
    monkeypatch.setattr("allometry.nas.database.BEAT", 1)
    evaluator = plain.Evaluator()
    with plain.store(URL, alone=False, driver="other", study=study) as opened:
        found = drive(plain.QUESTION, opened, plain.proposals(), evaluator, trials=20)
    assert plain.told(found) == plain.told(plain.search(f"sqlite:///{tmp_path}/b.db", plain.Evaluator()))
    assert 5 in evaluator.seen
    assert not {0, 1, 2, 3} & set(evaluator.seen)
