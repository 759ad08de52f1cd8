"""The process that runs distilabel's pipelines, `python -m r1lab.generation.distilabel_worker FD`.

It reads a line of JSON for each pipeline and writes, to the file descriptor FD, a line for each prompt and then
{"done": true}; or {"failed": why}, with which it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import openai
from distilabel.models import OpenAILLM
from distilabel.models.llms.utils import prepare_output
from distilabel.pipeline import Pipeline
from distilabel.steps.tasks import TextGeneration

from r1lab.engines.base import seed_of
from r1lab.engines.chat import completion_of
from r1lab.engines.server import TOO_LONG
from r1lab.engines.stored import record_of
from r1lab.processes.leash import die_with

FAILED = 1  # exit code


class KeptLLM(OpenAILLM):
    """distilabel's client, which tells of each completion what r1lab keeps: its end, its tokens, its failure.

    Each completion is a request of its own with the seed that r1lab's own client would give it.
    """

    seed: int = 0
    first: int = 0

    async def agenerate(
        self,
        input: Any,
        num_generations: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        extra_body: dict[str, Any] | None = None,
    ) -> Any:
        """JSON texts in the place of completions."""

        async def one(index: int) -> dict[str, Any]:
            body = {**(extra_body or {}), "seed": seed_of(self.seed, list(input), index)}
            settings = {"max_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
            try:
                reply = await self._aclient.chat.completions.create(
                    model=self.model, messages=input, extra_body=body, **settings
                )
                completion = completion_of(reply.model_dump())
                if not completion.error:
                    return record_of(completion)
                return {"finish": completion.finish, "error": completion.error}
            except (openai.OpenAIError, ValueError, KeyError, IndexError, TypeError) as error:
                said = f"{type(error).__name__}: {error}"[:300]
                return {"finish": "overflow" if any(words in said for words in TOO_LONG) else "error", "error": said}

        made = await asyncio.gather(*(one(self.first + j) for j in range(num_generations)))
        texts, tokens = [json.dumps(item) for item in made], [int(item.get("tokens", 0)) for item in made]
        return prepare_output(generations=texts, input_tokens=[0], output_tokens=[sum(tokens)])


def run(work: dict[str, Any], out: TextIO) -> None:
    """One pipeline."""
    cache = Path(work["cache"])
    name = f"r1lab-{uuid.uuid4().hex[:12]}"
    with pipeline_of(work["ray"], name, cache, lambda why: fail(out, why)) as pipeline:
        llm = KeptLLM(
            model=work["model"],
            base_url=work["url"],
            api_key=work["key"],
            timeout=work["timeout"],
            max_retries=work["tries"] - 1,
            seed=work["seed"],
            first=work["first"],
            generation_kwargs={
                "max_new_tokens": work["max_tokens"],
                "temperature": work["temperature"],
                "top_p": work["top_p"],
                "extra_body": {**work["extra"], **work["more"]},
            },
        )
        TextGeneration(
            llm=llm,
            num_generations=work["n"],
            group_generations=True,
            input_batch_size=max(1, work["in_flight"] // work["n"] // work["replicas"]),
            resources={"replicas": work["replicas"]},
            add_raw_output=False,
            add_raw_input=False,
        )
    found = pipeline.run(dataset=work["rows"], use_cache=False)
    for row in found["default"]["train"]:
        texts = [text for text in row["generation"] or [] if text is not None]
        if len(texts) == work["n"]:
            tell(out, {"place": row["place"], "completions": [json.loads(text) for text in texts]})
    shutil.rmtree(cache, ignore_errors=True)


def pipeline_of(ray: str | None, name: str, cache: Path, on_death: Callable[[str], None]) -> Any:
    """A pipeline that runs here, or on Ray."""
    if ray is None:
        return Pipeline(name=name, cache_dir=cache)
    from r1lab.generation.distilabel_ray import WatchedPipeline, join  # Ray: only where it is asked for

    join(ray)
    return WatchedPipeline(name, cache, on_death)


def tell(out: TextIO, reply: dict[str, Any]) -> None:
    """Write one line."""
    out.write(json.dumps(reply) + "\n")
    out.flush()


def fail(out: TextIO, why: str) -> None:
    """Tell why there will be no more, and end at once: distilabel's threads wait for what will not come."""
    tell(out, {"failed": why})
    os._exit(FAILED)


def main() -> None:
    """Run pipelines until there are no more."""
    die_with(os.getppid())  # distilabel leaves orphans else
    os.register_at_fork(after_in_child=lambda: die_with(os.getppid()))
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as out:
        for line in sys.stdin:
            try:
                run(json.loads(line), out)
            except Exception as error:  # the boundary of the process: whoever asked is told
                logging.exception("distilabel failed")
                fail(out, f"{type(error).__name__}: {error}")
            tell(out, {"done": True})


if __name__ == "__main__":
    from r1lab.generation import distilabel_worker  # by its name, under which other processes find its classes

    distilabel_worker.main()
