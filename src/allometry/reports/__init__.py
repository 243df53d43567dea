"""Runs as one page that opens anywhere: `write_report`."""

from allometry.reports.page import write_report

__all__ = ["write_report"]
