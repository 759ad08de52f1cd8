"""Who runs what where: starting a run's processes and hearing how they ended."""

from r1lab.processes import OWNER, PARENT

UNRECORDED = 74  # the worker's exit code where it could not write how it ended
STOPPED = 130  # the exit code of whatever was asked to stop
COMMAND = "R1LAB_COMMAND"  # what a person typed to get this run
FAILURE = "R1LAB_FAILURE"  # the file that the first process to fail writes
NODE = "R1LAB_NODE"  # this node's number, where there are several
SERVER = "R1LAB_SERVER"  # where the run's own server answers
GIVEN = "R1LAB_GIVEN"  # the names of what a run's environment was given beyond its starter's
SERVING = "R1LAB_SERVING"  # the folder where the run's process says what its server is to serve, and reads where
FOLDER = "R1LAB_FOLDER"  # where a task on a cluster may write that has no run's folder
OWN = (PARENT, COMMAND, FAILURE, NODE, SERVER, SERVING, OWNER, FOLDER, GIVEN)  # mean nothing to a run that a run starts
failed_runs: list[Exception] = []  # runs of a sweep that failed while the others went on
