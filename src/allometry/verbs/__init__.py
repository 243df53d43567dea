"""The verbs of the command line, as functions: the order of the work, its checks, and how it goes on after a stop."""
