"""TensorBoard: event files in the run's folder, read by `tensorboard --logdir outputs`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # `.api` wants TensorFlow
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from r1lab.runs.states import FINISHED
from r1lab.trackers.base import Run, numbers

FOLDER = "tensorboard"
FLUSH = 2  # seconds


class Tensorboard:
    """Scalars by the stream's names; config as hyperparameters; manifest and final metrics as text."""

    def start(self, run: Run) -> str:
        """Begin an event file; a resumed run adds another one to the same folder."""
        self.writer = EventFileWriter(str(run.folder / FOLDER), flush_secs=FLUSH)
        self.step = 0
        if run.id is None:
            plain = {
                key: value if isinstance(value, bool | int | float | str) else str(value)
                for key, value in run.config.items()
            }
            self._add(hparams_pb(plain, trial_id=run.name))
            self._text("config", run.config)
            self._text("manifest", run.manifest)
        return FOLDER

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """One event for a record."""
        self.step = step
        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        self._add(Summary(value=values), step)

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        """Final metrics as text, and those that the stream does not hold as scalars under `final/`."""
        self._text("final", {"status": status, **metrics})
        values = [Summary.Value(tag=f"final/{name}", simple_value=value) for name, value in numbers(metrics).items()]
        self._add(Summary(value=values), self.step)
        ended = api_pb2.STATUS_SUCCESS if status == FINISHED else api_pb2.STATUS_FAILURE
        info = SessionEndInfo(status=ended, end_time_secs=time.time())
        kind = metadata.create_summary_metadata(HParamsPluginData(session_end_info=info))
        tag = metadata.SESSION_END_INFO_TAG
        self._add(Summary(value=[Summary.Value(tag=tag, metadata=kind, tensor=metadata.NULL_TENSOR)]))
        self.writer.close()

    def _add(self, summary: Summary, step: int = 0) -> None:
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self.writer.flush()

    def _text(self, tag: str, content: dict[str, Any]) -> None:
        text = "\n".join(
            f"    {line}" for line in json.dumps(content, indent=2, default=str).splitlines()
        )  # Markdown: code
        kind = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        self._add(Summary(value=[Summary.Value(tag=tag, metadata=kind, tensor=tensor)]))
