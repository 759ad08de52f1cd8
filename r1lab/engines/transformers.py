"""Sampling in this process, from a model that is already in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1lab.engines.base import Completion, Conversation, OnCompletion, OnProgress, Sampling, overflow, seed_of
from r1lab.engines.sampler import Dice, RowDice, can_sample, sample


class TransformersEngine:
    """Completions from a causal language model in memory.

    Its dice are its own: sampling neither reads nor moves torch's global generator, so that measuring a model during
    training does not change the training.

    Args:
        model: the model; its training mode is put back after use.
        tokenizer: its tokenizer, with a chat template and a padding token.
        batch: completions in one forward pass.
        shortcuts: whether completions may share the work they have in common; else `model.generate` makes them.
        own_dice: whether each completion has dice of its own, by the seed, its prompt and its index, so that a run that
            is resumed, or asked for more, gets what it would have got. With `model.generate` that holds for a batch.
        context: tokens that a prompt and its completion may have; longer ones are not sampled.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch: int = 200,
        shortcuts: bool = True,
        own_dice: bool = False,
        context: int | None = None,
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.batch = batch
        self.shortcuts = shortcuts
        self.own_dice = own_dice
        self.context = context

    def generate(
        self,
        prompts: Sequence[Conversation],
        sampling: Sampling,
        on_progress: OnProgress | None = None,
        on_completion: OnCompletion | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. The same seed, first index, prompts and batch give the same completions."""
        seed = sampling.seed if sampling.first == 0 else hash((sampling.seed, sampling.first)) % 2**63
        shared = torch.Generator(self.model.device).manual_seed(seed)
        results: list[list[Completion]] = []
        size = max(1, self.batch // sampling.n)
        with evaluating(self.model):
            for start in range(0, len(prompts), size):
                made = self._batch(prompts[start : start + size], sampling, shared)
                if on_completion is None:
                    results += made
                else:
                    for i, row in enumerate(made, start):
                        for j, completion in enumerate(row, sampling.first):
                            on_completion(i, j, completion)
                if on_progress:
                    on_progress((start + len(made)) * sampling.n, len(prompts) * sampling.n)
        return results

    def _batch(
        self, prompts: Sequence[Conversation], sampling: Sampling, shared: torch.Generator
    ) -> list[list[Completion]]:
        texts = [
            str(self.tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True))
            for prompt in prompts
        ]
        lengths = [len(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]
        too_long = [overflow(length, sampling.max_tokens, self.context) for length in lengths]
        fitting = [i for i, item in enumerate(too_long) if item is None]
        made = self._sampled([prompts[i] for i in fitting], [texts[i] for i in fitting], sampling, shared)
        return [[item] * sampling.n if item else next(made) for item in too_long]

    def _sampled(
        self, prompts: Sequence[Conversation], texts: Sequence[str], sampling: Sampling, shared: torch.Generator
    ) -> Iterator[list[Completion]]:
        """The completions of each prompt of a batch; `texts` are the prompts as the model reads them."""
        if not prompts:
            return
        indices = range(sampling.first, sampling.first + sampling.n)
        dice: Dice = shared
        if self.own_dice:
            seeds = [seed_of(sampling.seed, prompt, index) for prompt in prompts for index in indices]
            dice, shared = RowDice(torch.tensor(seeds, device=self.model.device)), shared.manual_seed(seeds[0])
        inputs = self.tokenizer(
            list(texts), return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(self.model.device)
        ends = end_tokens(self.model, self.tokenizer)
        if self.shortcuts and can_sample(self.model):
            ids, lengths, _ = sample(
                self.model,
                inputs["input_ids"],
                inputs["attention_mask"],
                sampling,
                eos_token_ids=ends,
                pad_token_id=self.tokenizer.pad_token_id,
                generator=dice,
            )
            rows = [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
        else:
            rows = self._library_rows(inputs, sampling, ends, shared)
        decoded = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        asked = inputs["attention_mask"].sum(1).tolist()
        completions = [
            Completion(text, len(row), "stop" if row and row[-1] in ends else "length", tuple(row), prompt_tokens=count)
            for text, row, count in zip(decoded, rows, (c for c in asked for _ in indices), strict=True)
        ]
        yield from (completions[i : i + sampling.n] for i in range(0, len(completions), sampling.n))

    def _library_rows(
        self, inputs: dict[str, torch.Tensor], sampling: Sampling, ends: list[int], generator: torch.Generator
    ) -> list[list[int]]:
        """Completions by `model.generate`, for models that `sample` does not handle."""
        greedy = sampling.temperature == 0
        names = ("temperature", "top_p", "top_k", "min_p")
        settings = {} if greedy else {name: getattr(sampling, name) for name in names}
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator, device=generator.device)))
            output = self.model.generate(  # type: ignore[operator]
                **inputs,
                max_new_tokens=sampling.max_tokens,
                do_sample=not greedy,
                num_return_sequences=sampling.n,
                eos_token_id=ends,
                pad_token_id=self.tokenizer.pad_token_id,
                **settings,
            )
        rows = []
        for row in output[:, inputs["input_ids"].shape[1] :].tolist():
            stop = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
            rows.append(row[:stop])
        return rows


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """The model in evaluation mode, and back in the mode it was in."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a completion: the tokenizer's and those of the model's generation config."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in [tokenizer.eos_token_id, *listed] if token is not None})
