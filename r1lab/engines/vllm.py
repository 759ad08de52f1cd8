"""Sampling in this process with vLLM.

Each completion is a request of its own with a seed of its own, as in `engines.server`; requests are fed to the running
batch one by one, and a completion is handed on as soon as it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from r1lab.engines.base import Completion, Conversation, OnCompletion, OnProgress, Sampling, overflow, seed_of

QUEUED = 1024  # requests that the scheduler knows of at once: enough to fill any batch, few enough to hold in memory


class VllmEngine:
    """Completions from vLLM in this process.

    Args:
        model: a folder or a repository of the Hub.
        tokenizer: its tokenizer, with the run's chat template.
        ends: the tokens that end a completion.
        options: further arguments of vllm.LLM.

    Attributes:
        context: tokens of a prompt with its completion.
    """

    def __init__(self, model: str, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], options: Mapping[str, Any]):
        from vllm import LLM  # seconds to import, and not there where only transformers is

        self.llm = LLM(model, **options)
        self.tokenizer = tokenizer
        self.ends = list(ends)
        self.context = int(self.llm.llm_engine.model_config.max_model_len)

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. What a prompt's index gets does not depend on what else is asked for."""
        indices = range(sampling.first, sampling.first + sampling.n)
        work = ((place, index) for place in range(len(prompts)) for index in indices)
        results: dict[tuple[int, int], Completion] = {}
        for done, (place, index, completion) in enumerate(self._completed(prompts, sampling, work), 1):
            if on_completion:
                on_completion(place, index, completion)
            else:
                results[place, index] = completion
            if on_progress:
                on_progress(done, len(prompts) * sampling.n)
        return [] if on_completion else [[results[place, j] for j in indices] for place in range(len(prompts))]

    def close(self) -> None:
        """End its processes."""
        self.llm.llm_engine.engine_core.shutdown()

    def _completed(
        self, prompts: Sequence[Conversation], sampling: Sampling, work: Iterator[tuple[int, int]]
    ) -> Iterator[tuple[int, int, Completion]]:
        engine = self.llm.llm_engine
        waiting: dict[str, tuple[int, int]] = {}
        overflowing: deque[tuple[int, int, Completion]] = deque()
        more = True
        try:
            while more or waiting or overflowing:
                while more and len(waiting) < QUEUED:
                    place, index = next(work, (-1, -1))
                    if place < 0:
                        more = False
                        break
                    ids = self._ids(prompts[place])
                    if too_long := overflow(len(ids), sampling.max_tokens, self.context):
                        overflowing.append((place, index, too_long))
                        continue
                    name = f"{place}-{index}"
                    waiting[name] = place, index
                    params = self._params(sampling, prompts[place], index)
                    engine.add_request(name, {"prompt_token_ids": ids}, params)
                while overflowing:
                    yield overflowing.popleft()
                for output in engine.step() if waiting else []:
                    if output.finished:
                        place, index = waiting.pop(_name(output.request_id, waiting))
                        yield place, index, completion_of(output)
        finally:
            if waiting:
                engine.abort_request(list(waiting))

    def _ids(self, prompt: Conversation) -> list[int]:
        text = self.tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _params(self, sampling: Sampling, prompt: Conversation, index: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            max_tokens=sampling.max_tokens,
            seed=seed_of(sampling.seed, prompt, index),
            stop_token_ids=self.ends,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


def _name(request_id: str, waiting: Mapping[str, Any]) -> str:
    """The name under which a request was added: vLLM may have put something behind it."""
    return request_id if request_id in waiting else request_id.rpartition("-")[0]


def completion_of(output: Any) -> Completion:
    """The completion in a finished request of vLLM."""
    (made,) = output.outputs
    ids = tuple(made.token_ids)
    prompt_tokens = len(output.prompt_token_ids or ())
    if made.finish_reason not in ("stop", "length"):
        return Completion("", len(ids), "error", prompt_tokens=prompt_tokens, error=f"vLLM: {made.finish_reason}")
    return Completion(made.text, len(ids), made.finish_reason, ids, prompt_tokens=prompt_tokens)
