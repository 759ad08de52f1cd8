"""Processes that a run starts: none outlives it; servers and what they start are watched, and ended in order."""

PARENT = "R1LAB_PARENT"  # the process id of whoever started this one, which dies with it
OWNER = "R1LAB_OWNER"  # a mark that all processes of one server share
