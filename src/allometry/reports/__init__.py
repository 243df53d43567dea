"""What a run found, as one page that opens anywhere: `read_run` and `write_report`."""

from allometry.reports.page import write_report
from allometry.reports.reading import read_run
from allometry.reports.record import RunRecord

__all__ = ["RunRecord", "read_run", "write_report"]
