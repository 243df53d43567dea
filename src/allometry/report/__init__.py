"""What a run found, as one page that opens anywhere: `read_run` and `write_report`."""

from allometry.report.page import write_report
from allometry.report.reading import read_run
from allometry.report.record import RunRecord

__all__ = ["RunRecord", "read_run", "write_report"]
