"""Each tracker for real: a run as a process, and what the tracker holds of it afterwards, read by its own means."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.trackers.conftest import FOLDER, SECRET, WORDS, Run, expected


def close(found: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> bool:
    """Whether both hold the same steps, and values equal to single precision."""
    return [step for step, _ in found] == [step for step, _ in wanted] and all(
        math.isclose(a, b, rel_tol=1e-6) for (_, a), (_, b) in zip(found, wanted, strict=True)
    )


def state(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / "trackers.json").read_text())[name])


def resumed(run: Run, *words: str) -> None:
    """A run of 3 steps that fails and is resumed from its second step to the sixth."""
    first = run(*WORDS, "trainer.max_steps=3", *words, HOW="fails")
    assert first.returncode == 1, first.stderr
    second = run("resume=outputs/sums/one", "trainer.max_steps=6", FROM_STEP="2")
    assert second.returncode == 0, second.stderr


def test_tensorboard(run: Run) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    resumed(run, "tracker=tensorboard")
    events = EventAccumulator(str(FOLDER / "tensorboard"))
    events.Reload()
    for name, wanted in expected().items():
        assert close([(item.step, item.value) for item in events.Scalars(name)], wanted), name
    assert events.Scalars("final/eval/accuracy_before")[0].value == 0.125
    texts = {
        tag: events.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in ("config", "manifest", "final")
    }
    assert '"trainer.max_steps": 3' in texts["config"] and '"seed": 42' in texts["manifest"]
    assert '"status": "finished"' in texts["final"]
    assert SECRET not in "".join(path.read_bytes().decode("latin1") for path in FOLDER.glob("tensorboard/*"))


def test_trackio(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    resumed(run, "tracker=trackio", "tracker.trackio.dir=tracked")
    read = (
        "import json, sys\nfrom trackio.sqlite_storage import SQLiteStorage as store\n"
        "print(json.dumps([store.get_logs('r1lab', 'sums/one'), store.get_run_config('r1lab', 'sums/one')]))"
    )
    env = {"TRACKIO_DIR": str(tmp_path / "tracked"), "PATH": "/usr/bin", "HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, env=env, check=True)
    logs, config = json.loads(result.stdout.splitlines()[-1])
    for name, wanted in expected().items():
        assert close([(item["step"], item[name]) for item in logs if name in item], wanted), name
    assert logs[-1]["status"] == "finished" and logs[-1]["final/eval/accuracy_before"] == 0.125
    assert config["trainer.max_steps"] == 6 and config["manifest"]["seed"] == 42  # Trackio takes the resumed run's
    assert SECRET not in result.stdout


class Server:
    """A real `mlflow server`, and its REST API."""

    def __init__(self, folder: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        store = f"sqlite:///{folder / 'server.db'}"
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
        with (folder / "server.log").open("w") as log:
            env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven more processes
            self.process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0, env=env)
        limit = time.monotonic() + 240  # it imports for a minute where others compute
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    self.stop()
                    pytest.fail((folder / "server.log").read_text())
                time.sleep(0.2)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)

    def ask(self, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if body else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/2.0/mlflow/{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def history(self, run_id: str, name: str) -> list[tuple[int, float]]:
        found = self.ask(f"metrics/get-history?run_id={run_id}&metric_key={name}")["metrics"]
        return [(int(item.get("step", 0)), item["value"]) for item in found]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("mlflow")
    found = Server(tmp_path_factory.mktemp("mlflow"))
    yield found
    found.stop()


def test_mlflow_on_a_real_server(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    resumed(run, "tracker=mlflow", "tracker.mlflow.tags={paper:one}")
    run_id = state("mlflow")["id"]
    experiment = server.ask("experiments/get-by-name?experiment_name=r1lab")["experiment"]["experiment_id"]
    runs = server.ask("runs/search", experiment_ids=[experiment])["runs"]
    assert [item["info"]["run_id"] for item in runs] == [run_id]  # the resumed run is the same one
    info, data = runs[0]["info"], runs[0]["data"]
    assert (info["run_name"], info["status"]) == ("sums/one", "FINISHED")
    for name, wanted in expected().items():
        assert server.history(run_id, name.replace("@", "_at_")) == wanted, name
    assert server.history(run_id, "eval/accuracy_before") == [(6, 0.125)]
    params = {item["key"]: item["value"] for item in data["params"]}
    assert params["trainer.max_steps"] == "3" and params["model.name"] == "tiny"
    assert {"key": "paper", "value": "one"} in data["tags"]
    files = [item["path"] for item in server.ask(f"artifacts/list?run_id={run_id}")["files"]]
    assert files == ["manifest.json", "report.html"]
    assert SECRET not in json.dumps(runs)


def test_a_failed_run_is_failed_at_mlflow(run: Run, server: Server) -> None:
    assert run(*WORDS, "tracker=mlflow", f"tracker.mlflow.uri={server.url}", HOW="fails").returncode == 1
    assert server.ask(f"runs/get?run_id={state('mlflow')['id']}")["run"]["info"]["status"] == "FAILED"
    assert run("resume=outputs/sums/one", FROM_STEP="6", HOW="killed").returncode == 1
    limit = time.monotonic() + 15
    while state("mlflow")["status"] != "failed" and time.monotonic() < limit:
        time.sleep(0.2)
    assert server.ask(f"runs/get?run_id={state('mlflow')['id']}")["run"]["info"]["status"] == "FAILED"


def test_mlflow_without_a_server_keeps_a_database_under_outputs(run: Run) -> None:
    pytest.importorskip("mlflow")
    result = run(*WORDS, "tracker=mlflow")
    assert result.returncode == 0, result.stderr
    run_id = state("mlflow")["id"]
    with closing(sqlite3.connect("outputs/mlflow.db")) as store:
        rows = store.execute(
            "select step, value from metrics where run_uuid=? and key=? order by step", (run_id, "loss")
        )
        assert rows.fetchall() == expected()["loss"]
        assert store.execute("select status from runs where run_uuid=?", (run_id,)).fetchone() == ("FINISHED",)
    (artifacts,) = Path("outputs/mlartifacts").glob("*/artifacts")
    assert sorted(item.name for item in artifacts.iterdir()) == ["manifest.json", "report.html"]
    assert SECRET not in "".join(item.read_text() for item in artifacts.iterdir())
    assert not Path("mlruns").exists()


def test_wandb_offline(run: Run) -> None:
    pytest.importorskip("wandb")
    result = run(
        *WORDS, "tracker=wandb", "tracker.wandb.mode=offline", "tracker.wandb.tags=[a,b]", WANDB_PROJECT="sums"
    )
    assert result.returncode == 0, result.stderr
    (file,) = FOLDER.glob("wandb/offline-run-*/run-*.wandb")
    history, summary, config, run_record, code = wandb_records(file)
    for name, wanted in expected().items():
        assert close([(step, values[name]) for step, values in history if name in values], wanted), name
    assert summary["status"] == "finished" and summary["eval/accuracy_before"] == 0.125
    assert config["trainer.max_steps"] == 6 and config["manifest"]["seed"] == 42
    assert (run_record.project, run_record.display_name, list(run_record.tags)) == ("sums", "sums/one", ["a", "b"])
    assert code == 0 and run_record.run_id == state("wandb")["id"]
    assert SECRET.encode() not in file.read_bytes()
    assert "wandb" not in result.stderr + result.stdout.replace("tracker", "")


def wandb_records(file: Path) -> tuple[list[tuple[int, dict[str, Any]]], dict[str, Any], dict[str, Any], Any, int]:
    """What an offline run's file holds: history, summary, config, the run's record and its exit code."""
    from wandb.proto import wandb_internal_pb2

    history, summary, config, run_record, code = [], {}, {}, None, -1
    for data in leveldb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            values = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
            }
            history.append((record.history.step.num, values))
        elif kind == "summary":
            summary |= {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.summary.update
            }
        elif kind == "run":
            run_record = record.run
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "exit":
            code = record.exit.exit_code
    return history, summary, config, run_record, code


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """The records of a W&B file: 7 bytes, then LevelDB's log format (checksum, length, part; 32 KiB blocks)."""
    assert data[:4] == b":W&B"
    place, held = 7, b""
    while place < len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, part = struct.unpack_from("<IHB", data, place)
        held += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # whole, or the last part
            yield held
            held = b""


def test_several_at_once(run: Run) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("trackio")
    result = run(*WORDS, "tracker=[tensorboard,trackio]", "tracker.trackio.dir=tracked")
    assert result.returncode == 0, result.stderr
    for name in ("tensorboard", "trackio"):
        assert (state(name)["records"], state(name)["missed"], state(name)["status"]) == (10, 0, "finished")
