"""One run on this machine: write its folder, start its process, pass signals on, tell how it ended.

The run is a child process even where it is the only one: it starts in a clean environment, and neither running out of
memory nor a crash in native code takes a sweep or a notebook with it.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import ConfigError, Finding, RunError, StorageError, UserError
from r1lab.launch import COMMAND, PARENT, UNRECORDED
from r1lab.plan.hardware import cores
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder

SCRUBBED = (  # another launch's ranks and settings, or the beginnings of their names
    "ACCELERATE_",
    "FSDP_",
    "GROUP_RANK",
    "HYDRA_FULL_ERROR",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "NODE_RANK",
    "OMPI_COMM_WORLD_",
    "PMI_",
    "RANK",
    "ROLE_RANK",
    "TORCHELASTIC_",
    "WORLD_SIZE",
)


def environment(cfg: DictConfig) -> dict[str, str]:
    """The environment of a run's process: this one without ranks of another launch, and with quiet, fair threads."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(SCRUBBED)}
    threads = str(cfg.accelerator.threads or cores())
    quiet = {
        "OMP_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads slow each other down by up to 20 times
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    env = {**quiet, **env}
    if cfg.accelerator.threads:
        env["OMP_NUM_THREADS"] = threads
    if cfg.accelerator.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    pushes = cfg.get("hub") and cfg.hub.name != "none"
    fetches = on_a_hub(cfg.dataset) or cfg.task.get("against")
    if not fetches and (cfg.model.path or cfg.model.build) and not pushes:
        env["HF_HUB_OFFLINE"] = "1"  # nothing of this run is on a hub: never wait for one
    paths = [str(Path.cwd()), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return env


def on_a_hub(dataset: DictConfig) -> bool:
    """Whether a dataset, or one of a mixture, may have to be fetched."""
    entries = dataset.get("datasets") or []
    return bool(dataset.get("repo")) or any(entry.get("id") or entry.get("name") for entry in entries)


@contextmanager
def environment_as(env: dict[str, str]) -> Iterator[None]:
    """Another environment for this process, and then its own again."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def launch(cfg: DictConfig, run_dir: Path, typed: str | None = None) -> dict[str, Any]:
    """Run a planned config to its end.

    Args:
        cfg: the resolved config, as `plan` returns it.
        run_dir: the run's folder; `run.yaml` is written into it.
        typed: the command that asked for this run, for the manifest.

    Returns:
        The run's final metrics.

    Raises:
        RunError: the run failed; the message is its cause.
        UserError: the run found, once its libraries were loaded, that it cannot run as asked.
        KeyboardInterrupt: the run was interrupted.
    """
    folder = RunFolder(run_dir)
    with folder.locked():
        run_yaml = folder.write_config(cfg)
    env = {**environment(cfg), COMMAND: typed or ""}
    if cfg.debug:
        from r1lab.launch.worker import work  # only a debugger wants torch in this process

        with environment_as(env), folder.locked():
            try:
                return work(run_yaml)
            except BaseException as error:
                manifest.end(folder, "failed", 1, f"{type(error).__name__}: {error}")
                raise
    command = [sys.executable, "-m", "r1lab.launch.worker", str(run_yaml)]
    env[PARENT] = str(os.getpid())
    # In a group of its own, a terminal's Ctrl-C reaches the child once, passed on, and not a second time directly.
    child = subprocess.Popen(command, env=env, process_group=0)
    with passing_signals(child):
        code = child.wait()
    if code == 0 and folder.read_json("manifest.json").get("status") == "finished":
        return folder.read_json("metrics.json")
    raise failure(folder, code)


def audit(cfg: DictConfig) -> list[Finding]:
    """What the audit of a planned config finds, in a process of its own; nothing is started and no folder is left.

    Raises:
        RunError: the audit itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="r1lab-") as beside:
        folder = RunFolder(beside)
        run_yaml = folder.write_config(cfg)
        command = [sys.executable, "-m", "r1lab.launch.audit", str(run_yaml)]
        child = subprocess.run(command, env=environment(cfg), capture_output=True, text=True, errors="replace")
        if child.returncode:
            raise RunError(f"the audit failed\n{child.stderr.strip()}")
        return [Finding(**finding) for finding in folder.read_json("audit.json")["findings"]]


@contextmanager
def passing_signals(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to the child, and wait for it to end in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child.poll() is None:
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def failure(folder: RunFolder, code: int) -> BaseException:
    """The error that tells how a run's process ended."""
    manifest = folder.read_json("manifest.json")
    cause = manifest.get("cause")
    if code == 130 or code == -signal.SIGINT:
        return KeyboardInterrupt()
    again = f"python -m r1lab resume={shlex.quote(str(folder.path))}"
    if code == ConfigError.exit_code and manifest.get("findings"):
        return ConfigError([Finding(**finding) for finding in manifest["findings"]])
    if code == UserError.exit_code:
        return UserError(cause or f"the run refused its config; see {folder.path}/run.log")
    if code == UNRECORDED:
        return StorageError(f"{folder.path} cannot be written: is its disk full?")
    if code == 0:
        cause = "the training process ended itself before the run was finished"
        folder.write_json("manifest.json", {**manifest, "status": "failed", "cause": cause, "exit": code})
    if code < 0:
        name = signal.Signals(-code).name
        cause = f"the training process was killed by {name}"
        if -code == signal.SIGKILL:
            cause += " (by hand, or by the kernel because memory ran out)"
        if manifest:  # else it was killed before it began
            folder.write_json("manifest.json", {**manifest, "status": "failed", "cause": cause, "exit": code})
    log = f"{folder.path}/run.log"
    resumable = f"\n    resume   {again}" if folder.checkpoints.is_dir() and folder.last_checkpoint() else ""
    return RunError(f"{cause or f'the run ended with exit code {code}'}\n    log      {log}{resumable}")
