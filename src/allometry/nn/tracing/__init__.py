"""Which channels of any module belong together, by watching it run."""

from allometry.nn.tracing.channels import TraceError, trace_channels
from allometry.nn.tracing.graph import ChannelGraph, ChannelGroup

__all__ = ["ChannelGraph", "ChannelGroup", "TraceError", "trace_channels"]
