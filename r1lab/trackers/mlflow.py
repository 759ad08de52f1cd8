"""MLflow: a server, or `mlflow.db` in `outputs`, shown by `mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db`."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from r1lab.runs.states import FAILED, FINISHED, INTERRUPTED
from r1lab.trackers.base import Run, from_environment, numbers

VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_EXPERIMENT_NAME",
)
PATIENCE = {  # a server that hangs raises instead
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
STATUS = {FINISHED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}
MOST_PARAMS = 100  # of a request
LONGEST_PARAM = 6000  # characters
REFUSED = re.compile(r"[^/\w.\- :]")  # what MLflow takes in no name


class Mlflow:
    """One run of an MLflow experiment.

    Args:
        uri: of the tracking server or database; null: MLFLOW_TRACKING_URI, else `mlflow.db` under `outputs`.
        experiment: null: MLFLOW_EXPERIMENT_NAME, else "r1lab".
        tags: of the run.
    """

    def __init__(self, uri: str | None = None, experiment: str | None = None, tags: dict[str, str] | None = None):
        os.environ.update(from_environment(*VARIABLES))
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "r1lab"
        self.tags = tags or {}
        self.seen: set[str] = set()
        self.step = 0

    def start(self, run: Run) -> str:
        """Begin the run with the config as parameters, or take up the one with that id."""
        from mlflow.tracking import MlflowClient  # reads the variables above when it is imported

        self.client = MlflowClient(self.uri or f"sqlite:///{run.outputs / 'mlflow.db'}")
        if run.id:
            self.client.update_run(run.id, status="RUNNING")
            self.id = run.id
            return run.id
        made = self.client.create_run(self._experiment(run), run_name=run.name, tags={**self.tags, "r1lab": "run"})
        self.id = str(made.info.run_id)
        self._params(run.config)
        self.client.log_dict(self.id, run.manifest, "manifest.json")
        return self.id

    def _experiment(self, run: Run) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        if found:
            return str(found.experiment_id)
        artifacts = None if self.uri else (run.outputs / "mlartifacts").as_uri()
        return str(self.client.create_experiment(self.experiment, artifact_location=artifacts))

    def _params(self, config: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name_of(key), str(value)[:LONGEST_PARAM]) for key, value in config.items()]
        for first in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(self.id, params=params[first : first + MOST_PARAMS])

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One record in one request."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.step = step
        self.seen |= set(metrics)
        batch = [Metric(name_of(name), float(value), now, step) for name, value in metrics.items()]
        self.client.log_batch(self.id, metrics=batch)

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        """Final metrics that the stream does not hold, the page, and the status."""
        if final := {name: value for name, value in numbers(metrics).items() if name not in self.seen}:
            self.log(self.step, final)
        if page:
            self.client.log_artifact(self.id, str(page))
        self.client.set_terminated(self.id, STATUS.get(status, "FAILED"))


def name_of(key: str) -> str:
    """A name that MLflow takes: `eval/pass@1` becomes `eval/pass_at_1`."""
    return REFUSED.sub("_", key.replace("@", "_at_"))
