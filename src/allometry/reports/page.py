"""One self-contained HTML page from one run folder or several."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from allometry.base import InputError, RunFolderError
from allometry.base.files import names_us, write_text
from allometry.base.reading import is_file
from allometry.base.units import plural
from allometry.reports.calibration import calibration_section
from allometry.reports.cam_section import looks_compared, looks_section
from allometry.reports.comparison import comparison_section
from allometry.reports.export import costs_section, export_section, next_section
from allometry.reports.figures import library
from allometry.reports.fit import fit_section
from allometry.reports.growth import growth_section
from allometry.reports.labels import labels_section
from allometry.reports.markup import Html, Section, element, joined
from allometry.reports.networks import budget_section, network_section
from allometry.reports.overview import (
    damaged,
    key_metrics,
    origin_section,
    request_section,
    summary,
    unfinished,
)
from allometry.reports.quality import classes_section, evaluation_section, mistakes_section
from allometry.reports.search import search_section
from allometry.reports.subnets import predictor_section, subnets_section
from allometry.reports.supernet import supernet_section
from allometry.reports.training import cost_section, training_section
from allometry.runs import RunRecord

# The browser itself then refuses whatever the page would load from elsewhere.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_SORTABLE = 'sortable">'


def write_report(runs: Sequence[RunRecord], *, out: Path) -> Path:
    """Write one HTML page that shows a run, or compares several; it opens anywhere, without a network.

    The same runs give the same bytes.

    Args:
        runs: one or more, as `read_run` gives them.
        out: the file to write; it takes its place in one step.

    Returns:
        `out`.

    Raises:
        RunFolderError: no run is given.
        InputError: somebody else's file is there.
        StorageError: the page cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> run = RunRecord(folder=folder, name="first", command="train")
        >>> page = write_report([run], out=folder / "report.html")
        >>> "<h1>first</h1>" in page.read_text()
        True
    """
    if not runs:
        raise RunFolderError("No run folder was given; give the folder of one run, or of several to compare.")
    if is_file(out) and out.stat().st_size and not names_us(out):
        raise InputError(
            f"{out} is not a page of ours, and would be replaced; name another file, or move that one."
        )
    title, body = _one(runs[0]) if len(runs) == 1 else _several(runs)
    write_text(Path(out), _document(title, body))
    return Path(out)


def _one(record: RunRecord) -> tuple[str, Html]:
    sections = _sections(record, prefix="run")
    parts = [
        element("h1", record.name),
        unfinished(record),
        damaged(record),
        summary(record),
        key_metrics(record),
        _contents(sections, prefix="run"),
        *(section.html(prefix="run") for section in sections),
    ]
    return record.name, joined(parts)


def _several(records: Sequence[RunRecord]) -> tuple[str, Html]:
    title = plural(len(records), "run") + " compared"
    shared = (comparison_section(records), looks_compared(records))
    parts = [
        element("h1", title),
        *(section.html(prefix="all") for section in shared if section is not None),
    ]
    parts += [_short(record, prefix=f"run-{place}") for place, record in enumerate(records, start=1)]
    return title, joined(parts)


def _sections(record: RunRecord, *, prefix: str) -> list[Section]:
    sections = (
        request_section(record),
        fit_section(record, prefix=prefix),
        search_section(record, prefix=prefix),
        supernet_section(record, prefix=prefix),
        predictor_section(record, prefix=prefix),
        subnets_section(record, prefix=prefix),
        origin_section(record),
        network_section(record),
        budget_section(record),
        growth_section(record, prefix=prefix),
        training_section(record, prefix=prefix),
        cost_section(record, prefix=prefix),
        evaluation_section(record, prefix=prefix),
        labels_section(record),
        classes_section(record),
        calibration_section(record, prefix=prefix),
        looks_section(record),
        mistakes_section(record),
        export_section(record),
        costs_section(record),
        next_section(record),
    )
    return [section for section in sections if section is not None]


def _short(record: RunRecord, *, prefix: str) -> Html:
    sections = (
        fit_section(record, prefix=prefix),
        search_section(record, prefix=prefix),
        supernet_section(record, prefix=prefix),
        subnets_section(record, prefix=prefix),
        origin_section(record),
        network_section(record),
        budget_section(record),
        training_section(record, prefix=prefix),
        costs_section(record),
        next_section(record),
    )
    number = prefix.removeprefix("run-")
    heading = element("h2", element("span", number, class_="place"), " ", record.name, class_="run")
    shown = [section.html(prefix=prefix) for section in sections if section is not None]
    return element(
        "article", heading, unfinished(record), damaged(record), summary(record), *shown, id=prefix
    )


def _contents(sections: Sequence[Section], *, prefix: str) -> Html:
    links = (element("a", section.title, href=f"#{prefix}-{section.name}") for section in sections)
    return element("nav", *links, aria_label="contents")


def _document(title: str, body: Html) -> str:
    style = _part("page.css")
    head = [
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} - allometry"),
        Html(f"<style>\n{style}</style>"),
    ]
    if "Plotly.newPlot(" in body:
        head.append(library())
    inside = [element("main", body)]
    if _SORTABLE in body:
        inside.append(Html(f"<script>\n{_part('sort.js')}</script>"))
    page = element("html", element("head", joined(head, Html("\n"))), element("body", *inside), lang="en")
    return f"<!doctype html>\n{page}\n"


def _part(name: str) -> str:
    return files("allometry.reports").joinpath(name).read_text(encoding="utf-8")
