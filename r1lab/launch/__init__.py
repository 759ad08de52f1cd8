"""Who runs what where: starting a run's processes and hearing how they ended."""

PARENT = "R1LAB_PARENT"  # the launcher's process id, in the worker's environment
UNRECORDED = 74  # the worker's exit code where it could not write how it ended
COMMAND = "R1LAB_COMMAND"  # what a person typed to get this run, likewise
failures: list[Exception] = []  # runs of a sweep that failed while the others went on
