"""Batched autoregressive sampling from any decoder-only Hugging Face causal LM.

Differences to `model.generate`, all of which leave the sampling distribution as it is:
- a prompt that occurs several times in the batch is run through the model once and its KV cache copied;
- keys and values are written into growing buffers instead of being concatenated per layer and token;
- rows that have ended leave the batch;
- tokens are drawn by inverse CDF, with one uniform number per row, in float64;
- the log-probability of each sampled token comes for free.
"""

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

COMPACT_BELOW = 0.75  # drop ended rows once fewer than this share of the batch is alive


class _BufferLayer(DynamicLayer):
    """`DynamicLayer` whose keys and values, each (rows, heads, length, dim), are views of buffers that grow by doubling."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:  # the prompt: keep what the model computed
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values, self._buffers = key_states, value_states, None
            return self.keys, self.values
        start, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = [_grown(self.keys, 2 * end), _grown(self.values, 2 * end)]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)
        self._buffers = None


def _grown(states: Tensor, capacity: int) -> Tensor:
    """Copy `states` (rows, heads, length, dim) into a new buffer (rows, heads, capacity, dim)."""
    buffer = states.new_empty(*states.shape[:2], capacity, states.shape[3])
    buffer[:, :, : states.shape[2]] = states
    return buffer


def _new_cache(model: PreTrainedModel) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    cache.layers = [_BufferLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def can_sample(model: PreTrainedModel) -> bool:
    """Whether `sample` handles this model: decoder-only, with a plain or sliding-window KV cache in every layer."""
    config = getattr(model, "config", None)
    if not isinstance(model, PreTrainedModel) or config.is_encoder_decoder or config.get_text_config() is not config:
        return False
    accepts = inspect.signature(model.forward).parameters
    if not {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"} <= accepts.keys():
        return False
    if not model._supports_default_dynamic_cache():
        return False
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers)


def filter_scores(scores: Tensor, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Set the log-scores (rows, vocabulary) that top-k, then top-p, then min-p exclude to -inf."""
    if 0 < top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(top_k).values[:, -1:], -torch.inf)
    if top_p < 1.0:
        ascending, order = scores.sort(dim=-1)
        drop = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
        drop[:, -1] = False  # always keep the likeliest
        scores = scores.masked_fill(drop.scatter(1, order, drop), -torch.inf)
    if min_p > 0.0:
        probs = scores.softmax(-1)
        scores = scores.masked_fill(probs < min_p * probs.amax(-1, keepdim=True), -torch.inf)
    return scores


def draw(scores: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one index per row (rows,) with probability softmax(scores) from (rows, vocabulary)."""
    cdf = scores.softmax(-1).cumsum(-1, dtype=torch.float64)
    # `1 - u` lies in (0, 1], so the first index whose CDF reaches it has a probability above zero.
    uniform = 1 - torch.rand(len(cdf), 1, dtype=torch.float64, device=cdf.device, generator=generator)
    return torch.searchsorted(cdf, uniform * cdf[:, -1:]).squeeze(1)


def _unique_rows(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """First row of each distinct prompt (unique,), and for every row the prompt it is (rows,)."""
    seen: dict[tuple, int] = {}
    keys = [(tuple(row), tuple(seen_)) for row, seen_ in zip(ids.tolist(), mask.tolist(), strict=True)]
    which = [seen.setdefault(key, len(seen)) for key in keys]
    first = [which.index(prompt) for prompt in range(len(seen))]
    return torch.tensor(first, device=ids.device), torch.tensor(which, device=ids.device)


def sample(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    eos_token_ids: int | Sequence[int],
    pad_token_id: int,
    generator: torch.Generator | None = None,
    copies: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample completions of left-padded prompts.

    Args:
        model: Causal LM for which `can_sample` holds, in eval mode unless dropout is wanted.
        input_ids, attention_mask: (prompts, P), padded on the left.
        temperature: 0 picks the likeliest token.
        copies: Completions per prompt; those of prompt i are rows i * copies to (i + 1) * copies - 1.
        on_progress: Called after every token with (tokens so far, rows still alive).

    Returns:
        completion_ids: (rows, T), including the end token, padded on the right; T is the longest completion.
        lengths: (rows,), tokens of each completion, including the end token.
        logprobs: (rows, T), log-probability of each token under softmax(logits / temperature) — at temperature 0
            under softmax(logits) — before top-k, top-p and min-p; 0 on padding.
    """
    with torch.inference_mode():
        outputs = _sample(
            model, input_ids, attention_mask.bool(), max_new_tokens, temperature, top_p, top_k, min_p,
            eos_token_ids, pad_token_id, generator, copies, on_progress,
        )  # fmt: skip
    return tuple(output.clone() for output in outputs)  # ordinary tensors, which autograd may save


def _sample(
    model, input_ids, mask, max_new_tokens, temperature, top_p, top_k, min_p, eos, pad, generator, copies, on_progress
):  # fmt: skip
    device = input_ids.device
    columns = mask.any(0).nonzero()[0, 0]  # leading columns that are padding in every row
    input_ids, mask = input_ids[:, columns:], mask[:, columns:]
    first, which = _unique_rows(input_ids, mask)
    input_ids, mask, which = input_ids[first], mask[first], which.repeat_interleave(copies)
    rows, padded = len(which), not bool(mask.all())
    eos = torch.tensor([eos] if isinstance(eos, int) else list(eos), device=device)

    cache = _new_cache(model)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    inputs = dict(past_key_values=cache, use_cache=True, logits_to_keep=1)
    logits = model(input_ids, attention_mask=mask if padded else None, position_ids=positions, **inputs).logits[which, -1]
    cache.batch_select_indices(which)
    position = positions[which, -1:]  # (live, 1): of the last token
    mask = torch.cat([mask[which], mask.new_ones(rows, max_new_tokens)], dim=1) if padded else None
    prompt_length = input_ids.shape[1]

    ids = torch.full((rows, max_new_tokens), pad, device=device)
    logprobs = torch.zeros(rows, max_new_tokens, device=device)
    lengths = torch.full((rows,), max_new_tokens, device=device)
    live = torch.arange(rows, device=device)  # the row of the result that each row of the batch writes to
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    for step in range(max_new_tokens):
        scores = logits.float()
        if temperature not in (0.0, 1.0):
            scores = scores / temperature
        token = scores.argmax(-1) if temperature == 0 else draw(filter_scores(scores, top_k, top_p, min_p), generator)
        logprob = scores.log_softmax(-1).gather(1, token[:, None]).squeeze(1)
        ids[live, step] = torch.where(ended, pad, token)
        logprobs[live, step] = torch.where(ended, 0.0, logprob)
        ends = torch.isin(token, eos) & ~ended
        lengths[live[ends]] = step + 1
        ended = ended | ends
        alive = len(ended) - int(ended.sum())
        if on_progress is not None:
            on_progress(step + 1, alive)
        if alive == 0 or step + 1 == max_new_tokens:
            break
        if alive < COMPACT_BELOW * len(live):
            keep = (~ended).nonzero().squeeze(1)
            cache.batch_select_indices(keep)
            live, ended, token, position = live[keep], ended[keep], token[keep], position[keep]
            mask = mask[keep] if padded else None
        position = position + 1
        step_mask = mask[:, : prompt_length + step + 1] if padded else None
        logits = model(token[:, None], attention_mask=step_mask, position_ids=position, **inputs).logits[:, -1]
    longest = int(lengths.max())
    return ids[:, :longest], lengths, logprobs[:, :longest]
