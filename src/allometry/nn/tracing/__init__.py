"""Which channels of any module belong together, by watching it run."""

from allometry.nn.tracing.channels import ChannelGraph, ChannelGroup, TraceError, trace_channels

__all__ = ["ChannelGraph", "ChannelGroup", "TraceError", "trace_channels"]
