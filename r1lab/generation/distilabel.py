"""generator=distilabel: completions by distilabel's TextGeneration, kept in the same store in the same form.

Source: https://distilabel.argilla.io (1.5.3). Its own cache is not used: resuming from it hangs (its issue 1065). The
prompts go through in parts instead, each a pipeline of its own, and what a part has made is in the store before the
next begins. Pipelines run in a process beside the run's, which is spared their imports and signal handlers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.engines.base import Completion, Conversation, OnCompletion, OnProgress, Sampling
from r1lab.engines.server import ServerEngine
from r1lab.engines.store import Store
from r1lab.engines.stored import completion_of, fill, keys_of
from r1lab.errors import DataError, EngineError, Finding
from r1lab.generation.engines import ready
from r1lab.generation.own import Drawn, OnMade

WORKER = "r1lab.generation.distilabel_worker"
STOP_SECONDS = 20.0
SHOWN = 600  # characters of its log's end
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


class DistilabelEngine:
    """An engine that hands its prompts to distilabel.

    Args:
        server: whose address, model and settings it takes; it is asked nothing itself.
        folder: for the log of the process beside this one, and its scratch.
        shard: prompts of a pipeline.
        replicas: clients side by side.
        ray: None; "local"; or the address of a cluster.
    """

    def __init__(self, server: ServerEngine, model: str, folder: Path, shard: int, replicas: int, ray: str | None):
        self.shard, self.log = shard, folder / "distilabel.log"
        self.settings = {
            "url": server.urls[0],
            "model": model,
            "key": server.headers.get("Authorization", "Bearer none").removeprefix("Bearer "),
            "in_flight": server.in_flight,
            "tries": server.tries,
            "timeout": server.timeout,
            "extra": server.extra,
            "replicas": replicas,
            "ray": ray,
            "cache": str(folder / ".distilabel"),
        }
        receive, send = os.pipe()
        command = [sys.executable, "-m", WORKER, str(send)]
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            out: dict[str, Any] = {"stdout": log, "stderr": log, "pass_fds": [send]}
            self.child = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, process_group=0, **out)
        os.close(send)
        self.replies = os.fdopen(receive, encoding="utf-8")

    def __enter__(self) -> DistilabelEngine:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()  # what it started ends with it
            self.child.wait()
        self.replies.close()

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`.

        Raises:
            DataError: a prompt is more than one question with a system prompt, which TextGeneration does not take.
            EngineError: distilabel ended before its work was done; its log says why.
        """
        results: list[list[Completion]] = []
        done = 0
        for start in range(0, len(prompts), self.shard):
            part = [row_of(prompt, place) for place, prompt in enumerate(prompts[start : start + self.shard], start)]
            made: dict[int, list[Completion]] = {}
            for place, completions in self._pipeline(part, sampling):
                made[place] = completions
                for index, completion in enumerate(completions, sampling.first):
                    if on_completion:
                        on_completion(place, index, completion)
                done += len(completions)
                if on_progress:
                    on_progress(done, len(prompts) * sampling.n)
            results += [made[start + i] for i in range(len(part))] if on_completion is None else []
        return results

    def _pipeline(self, rows: list[dict[str, Any]], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        """The completions of one pipeline, as they come back; what is missing in the end is a failure."""
        how = {name: getattr(sampling, name) for name in ("n", "first", "seed", "temperature", "top_p", "max_tokens")}
        more = {name: value for name in ("top_k", "min_p") if (value := getattr(sampling, name))}
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(json.dumps({**self.settings, **how, "more": more, "rows": rows}).encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        missing = {row["place"] for row in rows}
        for line in self.replies:
            reply = json.loads(line)
            if "done" in reply:
                break
            if "failed" in reply:
                raise self._ended(reply["failed"])
            missing.discard(reply["place"])
            yield reply["place"], [made_of(item) for item in reply["completions"]]
        else:
            raise self._ended()
        for place in sorted(missing):
            yield place, [made_of({"error": f"distilabel gave none; see {self.log}"}) for _ in range(sampling.n)]

    def _ended(self, why: str = "") -> EngineError:
        last = self.log.read_text(encoding="utf-8", errors="replace").strip()[-SHOWN:]
        what = f"distilabel ended before its work was done\n    log      {self.log}"
        return EngineError(f"{what}\n{why[:SHOWN] or last}")


def environment() -> dict[str, str]:
    """This process's environment; Ray shows a cluster the token that the user has only where it is told to."""
    there = any(name in os.environ for name in TOKENS) or (Path.home() / ".ray/auth_token").is_file()
    return {**({"RAY_AUTH_MODE": "token"} if there else {}), **os.environ}


def row_of(prompt: Conversation, place: int) -> dict[str, Any]:
    """A prompt as TextGeneration takes it.

    Raises:
        DataError: it is more than a question and a system prompt.
    """
    roles = [turn["role"] for turn in prompt]
    if roles not in (["user"], ["system", "user"]):
        what = f"row {place + 1}: distilabel's TextGeneration takes one question, not turns of {', '.join(roles)}"
        raise DataError(Finding(what, fix="generator=own").text())
    system = {"system_prompt": prompt[0]["content"]} if len(prompt) == 2 else {}
    return {"place": place, "instruction": prompt[-1]["content"], **system}


def made_of(item: dict[str, Any]) -> Completion:
    """A completion, or why there is none, from what the process beside this one tells."""
    if item.get("error"):
        return Completion("", 0, item.get("finish", "error"), error=item["error"])
    return completion_of(item)


def generate(
    cfg: DictConfig,
    folder: Path,
    store: Store,
    prompts: Sequence[Conversation],
    sampling: Sampling,
    on_progress: OnProgress,
    on_made: OnMade,
) -> Drawn:
    """Make what is missing, as `own.generate` does; the same seeds go with the same completions."""
    with ready(cfg, folder) as made:
        assert isinstance(made.engine, ServerEngine)  # the plan refuses other engines
        model = str(made.engine.served()["id"])
        arguments = (model, folder, cfg.generator.shard, cfg.generator.replicas, cfg.generator.ray)
        with DistilabelEngine(made.engine, *arguments) as engine:
            failures = fill(engine, store, prompts, sampling, made.identity, on_progress, on_made)
        return Drawn(keys_of(prompts, sampling, made.identity), failures)
