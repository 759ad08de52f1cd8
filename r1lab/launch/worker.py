"""The process of one run, `python -m r1lab.launch.worker run.yaml`: read the file, run the task, write how it ended."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import traceback
import warnings
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from r1lab.errors import ConfigError, R1labError, Requeue, ResumeError, StorageError
from r1lab.launch import COMMAND, PARENT, UNRECORDED
from r1lab.launch.beside import beside
from r1lab.runs import manifest
from r1lab.runs.folder import AGAIN, RunFolder, storage_cause

log = logging.getLogger("r1lab")
INTERRUPTED = 130
PR_SET_PDEATHSIG = 1


def work(run_yaml: Path) -> dict[str, Any]:
    """Run the task of a `run.yaml`; whoever calls holds the folder's lock.

    Returns:
        The task's final metrics, as written to `metrics.json`.
    """
    folder = RunFolder(run_yaml.parent)
    cfg = folder.read_config()
    manifest.start(folder, cfg, os.environ.get(COMMAND))
    module, _, name = str(cfg.task._target_).rpartition(".")
    with beside(cfg, folder):
        metrics: dict[str, Any] = getattr(import_module(module), name)(cfg, folder)
        folder.write_json("metrics.json", metrics)
        manifest.end(folder, "finished", 0)
        write_page(folder)
    return metrics


def write_page(folder: RunFolder) -> None:
    """Write the run's page, whatever became of the run; a page that fails changes nothing about how the run ended."""
    from r1lab.report.page import write_page as write  # matplotlib: not worth its time when a run is refused

    try:
        write(folder.path)
    except Exception:  # noqa: BLE001 - `task=report task.run=FOLDER` shows the cause again
        log.error("the page was not written\n%s", traceback.format_exc())


def main() -> int:
    """Entry of the process; its exit code is the run's."""
    die_with_parent()
    run_yaml = Path(sys.argv[1])
    folder = RunFolder(run_yaml.parent)
    try:
        with folder.locked():
            return work_and_record(run_yaml, folder)
    except ResumeError as error:  # another run is in the folder: its files are not this one's to write
        print(f"r1lab: {error}", file=sys.stderr)
        return error.exit_code


def work_and_record(run_yaml: Path, folder: RunFolder) -> int:
    """Run the task and record how it ended, whatever happens; the exit code to end with."""
    set_up_logging(folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        work(run_yaml)
    except KeyboardInterrupt:
        return end(folder, "interrupted", INTERRUPTED, "interrupted")
    except Requeue as error:
        log.info("%s", error)
        code = end(folder, "interrupted", error.exit_code, str(error))
        (folder.path / AGAIN).touch()
        return code
    except R1labError as error:
        log.error("%s", error)
        if isinstance(error, ConfigError):
            manifest.add(folder, findings=[asdict(finding) for finding in error.findings])
        return end(folder, "failed", error.exit_code, str(error))
    except SystemExit as error:
        log.error("%s", traceback.format_exc())
        return end(folder, "failed", 1, f"something in the run called sys.exit({error.code})")
    except MemoryError:
        return end(folder, "failed", 1, "memory ran out")
    except Exception as error:  # noqa: BLE001 - the last station: the cause is recorded and the exit code tells
        cause = storage_cause(error)
        if cause:
            log.error("%s", cause)
            return end(folder, "failed", StorageError.exit_code, cause)
        log.error("%s", traceback.format_exc())
        return end(folder, "failed", 1, f"{type(error).__name__}: {error}")
    return 0


def die_with_parent() -> None:
    """Have the kernel kill this process when its launcher dies, however it dies (Linux)."""
    parent = os.environ.pop(PARENT, None)
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            os._exit(1)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal ends the run in order, a second one at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def end(folder: RunFolder, status: str, code: int, cause: str) -> int:
    """Record how the run ended and write its page; the exit code to end with."""
    try:
        manifest.end(folder, status, code, cause)
    except OSError:
        return UNRECORDED
    write_page(folder)
    return code


def set_up_logging(folder: RunFolder) -> None:
    """Send r1lab's and the libraries' log to `run.log`, and only r1lab's errors to the terminal."""
    logging.raiseExceptions = False  # a log that cannot be written is not worth a traceback per line
    handlers: list[logging.Handler] = []
    try:
        handlers.append(logging.FileHandler(folder.path / "run.log", encoding="utf-8", errors="backslashreplace"))
    except OSError:
        handlers.append(logging.NullHandler())  # the launcher will say that the folder cannot be written
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, handlers=handlers)
    logging.captureWarnings(True)
    warnings.simplefilter("default")


if __name__ == "__main__":
    sys.exit(main())
