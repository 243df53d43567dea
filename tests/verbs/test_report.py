import pytest

import allometry as al
from allometry.base import RunFolderError


def test_of_one_run_and_of_two(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.folder.parent)
    page = al.report(trained)
    assert page.path == trained.report
    assert "<h1>trained</h1>" in page.path.read_text()
    assert repr(page) == f"Report(trained: {trained.report})"
    assert '<iframe src="trained/report.html"' in page._repr_html_()
    both = al.report(trained, trained.folder, out=tmp_path / "both.html")
    assert both.runs == ("trained", "trained")
    assert "2 runs compared" in both.path.read_text()
    assert both.to_dict() == {"report": str(tmp_path / "both.html")}
    assert al.report(trained, trained).path.name == "comparison.html"


def test_mistakes(tmp_path):
    with pytest.raises(RunFolderError, match="No run is given"):
        al.report()
    with pytest.raises(RunFolderError, match="no run folder"):
        al.report(tmp_path / "none")
