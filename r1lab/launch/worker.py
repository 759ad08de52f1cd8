"""One training process, `python -m r1lab.launch.worker run.yaml`: read the file, run the task, write how it ended.

Where there are several, the first of them (rank 0) owns the run's folder: it holds the lock, writes the files and has
the processes beside it. The others see the folder, write nothing into it but their own log in `ranks/`, and record
their failure where it is the run's first.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import ConfigError, R1labError, Requeue, ResumeError, StorageError
from r1lab.launch import COMMAND, FAILURE, NODE, SERVER, STOPPED, UNRECORDED
from r1lab.launch.beside import beside
from r1lab.processes.health import free_port
from r1lab.processes.leash import die_with_parent
from r1lab.runs import failures, manifest
from r1lab.runs.failures import Failure
from r1lab.runs.folder import AGAIN, Onlooker, RunFolder, storage_cause
from r1lab.runs.states import FAILED, FINISHED, INTERRUPTED
from r1lab.terminal import lengthy

log = logging.getLogger("r1lab")
interrupted = False


def work(run_yaml: Path, typed: str = "") -> dict[str, Any]:
    """Run the task of a `run.yaml`; whoever calls holds the folder's lock.

    Args:
        run_yaml: the resolved config, in the run's folder.
        typed: the command that asked for this run, for the manifest.

    Returns:
        The task's final metrics, as written to `metrics.json`.
    """
    folder = RunFolder(run_yaml.parent)
    cfg = config_of(folder)
    (folder.path / AGAIN).unlink(missing_ok=True)
    manifest.start(folder, cfg, typed)
    with beside(cfg, folder):
        with lengthy(f"loading the libraries of task={cfg.task.name}"):
            task = named(cfg.task._target_)
        gc.freeze()  # what was imported stays: a full collection would take 0.15 s to find that out, each time
        metrics: dict[str, Any] = task(cfg, folder)
        folder.write_json("metrics.json", metrics)
        manifest.end(folder, FINISHED, 0)
        write_page(folder)
    return metrics


def config_of(folder: RunFolder) -> DictConfig:
    """The run's config, with the address of its own server where it has one."""
    cfg = folder.read_config()
    if server := os.environ.get(SERVER):
        cfg.trainer.vllm_server_base_url = server
        cfg.trainer.vllm_group_port = free_port()
    return cfg


def named(target: str) -> Callable[..., dict[str, Any]]:
    """The function of a dotted name."""
    module, _, name = target.rpartition(".")
    found: Callable[..., dict[str, Any]] = getattr(import_module(module), name)
    return found


def write_page(folder: RunFolder) -> None:
    """Write the run's page, whatever became of the run; a page that fails changes nothing about how the run ended."""
    from r1lab.report.page import write_page as write  # matplotlib: not worth its time when a run is refused

    try:
        with lengthy("writing the run's page"):
            write(folder.path)
    except Exception:  # noqa: BLE001 - `task=report task.run=FOLDER` shows the cause again
        log.error("the page was not written\n%s", traceback.format_exc())


def main() -> int:
    """Entry of the process; its exit code is the run's."""
    die_with_parent()
    run_yaml = Path(sys.argv[1])
    if rank():
        return assist(run_yaml)
    folder = RunFolder(run_yaml.parent)
    try:
        with folder.locked():
            set_up_logging(folder.path / "run.log")
            hear_signals()
            try:
                work(run_yaml, os.environ.get(COMMAND, ""))
            except BaseException as error:  # noqa: BLE001 - the last station: the cause is recorded, the exit code tells
                return end(folder, ending_of(error))
            return 0
    except ResumeError as error:  # another run is in the folder: its files are not this one's to write
        print(f"r1lab: {error}", file=sys.stderr)
        return error.exit_code


def assist(run_yaml: Path) -> int:
    """Run the task as one of the other processes."""
    folder = Onlooker(run_yaml.parent)
    path = folder.path / "ranks" / f"{rank()}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:  # what the libraries print, and a crash in native code
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    set_up_logging(path)
    hear_signals()
    try:
        cfg = config_of(folder)
        named(cfg.task._target_)(cfg, folder)
    except BaseException as error:  # noqa: BLE001 - the last station: the cause is recorded and the exit code tells
        return ending_of(error).code
    return 0


@dataclass(frozen=True)
class Ending:
    """How a process ended: the run's status, its exit code, the cause, and the findings of a config.

    `again`: the queue's time for the run is up, and it goes on from its checkpoint when it is started again.
    """

    status: str
    code: int
    cause: str
    findings: list[dict[str, Any]] = field(default_factory=list)
    again: bool = False


def ending_of(error: BaseException) -> Ending:
    """What an error that ends this process means for the run; logged, and recorded if it is the run's first failure."""
    record = os.environ.get(FAILURE)
    if isinstance(error, KeyboardInterrupt) or interrupted:
        first = failures.read(Path(record)) if record else None
        if first is None:
            return Ending(INTERRUPTED, STOPPED, "interrupted")
        return Ending(FAILED, max(first.exit, 1), first.cause, first.findings)  # stopped because another one failed
    if isinstance(error, Requeue):  # no failure, so none of the other processes is to be stopped for it
        log.info("%s", error)
        return Ending(INTERRUPTED, 0, str(error), again=True)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:  # the agent, which stops whoever is left, lets the first one write
        signal.signal(signal.SIGTERM, signal.SIG_DFL if rank() else signal.SIG_IGN)
    ending = judged(error)
    known = isinstance(error, R1labError | MemoryError) or storage_cause(error)
    log.error("%s", ending.cause if known else "".join(traceback.format_exception(error)))
    if not record:
        return ending
    where = f"ranks/{rank()}.log" if rank() else "run.log"
    process = f"training process {rank()}" if int(os.environ.get("WORLD_SIZE", 1)) > 1 else "the training process"
    failure = Failure(
        ending.cause,
        process,
        ending.code,
        rank(),
        int(os.environ.get(NODE, 0)),
        error=type(error).__name__,
        trace=failures.told(error),
        log=where,
        findings=ending.findings,
    )
    try:
        failures.claim_in_turn(Path(record), failure, error)
    except OSError:
        return ending  # the folder cannot be written, which the exit code will tell
    first = failures.read(Path(record)) or failure
    return Ending(FAILED, ending.code, first.cause, first.findings)


def judged(error: BaseException) -> Ending:
    """What an error means on its own."""
    if isinstance(error, R1labError):
        findings = [asdict(finding) for finding in error.findings] if isinstance(error, ConfigError) else []
        return Ending(FAILED, error.exit_code, str(error), findings)
    if isinstance(error, SystemExit):
        return Ending(FAILED, 1, f"something in the run called sys.exit({error.code})")
    if isinstance(error, MemoryError):
        return Ending(FAILED, 1, "memory ran out")
    if cause := storage_cause(error):
        return Ending(FAILED, StorageError.exit_code, cause)
    return Ending(FAILED, 1, f"{type(error).__name__}: {error}")


def rank() -> int:
    """This process's place among the training processes."""
    return int(os.environ.get("RANK", 0))


def hear_signals() -> None:
    """Have SIGINT and SIGTERM end the run in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal ends the run in order, a second one at once."""
    global interrupted
    interrupted = True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def end(folder: RunFolder, ending: Ending) -> int:
    """Record how the run ended and write its page; the exit code to end with."""
    try:
        if ending.status == INTERRUPTED and folder.read_json("manifest.json").get("status") == FINISHED:
            return ending.code  # all that was left was the page, or what is sent elsewhere
        if ending.findings:
            manifest.add(folder, findings=ending.findings)
        manifest.end(folder, ending.status, ending.code, ending.cause)
        if ending.again:
            (folder.path / AGAIN).touch()
    except OSError:
        return UNRECORDED
    if not ending.again:  # what is left of the time is for leaving
        write_page(folder)
    return ending.code


def set_up_logging(path: Path) -> None:
    """Send r1lab's and the libraries' log to a file."""
    logging.raiseExceptions = False  # a log that cannot be written is not worth a traceback per line
    handlers: list[logging.Handler] = []
    try:
        handlers.append(logging.FileHandler(path, encoding="utf-8", errors="backslashreplace"))
    except OSError:
        handlers.append(logging.NullHandler())  # the launcher will say that the folder cannot be written
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, handlers=handlers)
    logging.captureWarnings(True)
    warnings.simplefilter("default")


if __name__ == "__main__":
    sys.exit(main())
