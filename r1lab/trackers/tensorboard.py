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
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.summary import session_end_pb, session_start_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

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
            self._add(session_start_pb(plain))
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
        ended = api_pb2.STATUS_SUCCESS if status == "finished" else api_pb2.STATUS_FAILURE
        self._add(session_end_pb(ended))
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
