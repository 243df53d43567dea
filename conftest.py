"""Settings that tests and the examples in docstrings and documentation share."""

from __future__ import annotations

import os
import shutil
import tempfile

# What is kept between calls is kept apart from the user's, and starts empty.
_KEPT = tempfile.mkdtemp(prefix="allometry-tests-")
os.environ["XDG_CACHE_HOME"] = _KEPT

collect_ignore = ["docs/guide/whole_path.py"]  # a script, which a test runs in a folder of its own


def pytest_unconfigure() -> None:
    """Remove what the tests have kept."""
    shutil.rmtree(_KEPT, ignore_errors=True)
