"""Batched autoregressive sampling from any decoder-only Hugging Face causal LM.

Differences to `model.generate`, none of which changes the sampling distribution:
- completions of one prompt run as one row of the batch until they differ, so shared beginnings run once;
- completions that have ended leave the batch;
- tokens are drawn by inverse CDF, with one float64 number per row, and come with their log-probability.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from r1lab.engines.base import Sampling

COMPACT_BELOW = 0.75  # drop unused slots of the batch once fewer than this share is used
SCALED_BY_LENGTH = {"dynamic", "longrope"}  # rotary embeddings under which a cached key depends on what follows it
NEEDED = {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"}


def can_sample(model: torch.nn.Module | None) -> bool:
    """Whether `sample` handles this model: decoder-only, with a plain or sliding-window KV cache in every layer."""
    if not isinstance(model, PreTrainedModel):
        return False
    config = model.config
    if config.is_encoder_decoder or config.get_text_config() is not config:
        return False
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {item.get("rope_type") for item in (rope, *rope.values()) if isinstance(item, dict)}
    layers = DynamicCache(config=config).layers
    return (
        not SCALED_BY_LENGTH & kinds
        and config._attn_implementation in ("sdpa", "eager")
        and inspect.signature(model.forward).parameters.keys() >= NEEDED
        and model._supports_default_dynamic_cache()  # type: ignore[operator]
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    )


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


class RowDice:
    """Dice of its own for every row: what a row draws depends on its seed and the step, not on the rows beside it.

    splitmix64 (Steele et al. 2014) of the seed and the step, which passes for random and needs no state.

    Args:
        seeds: (rows,), 64-bit integers.
    """

    def __init__(self, seeds: Tensor):
        self.seeds = seeds

    def uniform(self, rows: Tensor, step: int) -> Tensor:
        """Numbers in [0, 1), float64, (n, 1), for some rows (n,) at a step."""
        begun = _mixed(self.seeds[rows])
        x = begun + torch.full_like(begun, step + 1) * GOLDEN  # a tensor's product wraps around, Python's does not
        return ((_mixed(x) >> 11) & (2**53 - 1)).double()[:, None] / 2**53


GOLDEN = -7046029254386353131  # 2⁶⁴ / φ as a signed integer


def _mixed(x: Tensor) -> Tensor:
    """splitmix64's finalizer; int64 wraps around."""
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
    return x ^ ((x >> 31) & (2**33 - 1))


Dice = torch.Generator | RowDice | None  # None: torch's global ones


def draw(
    scores: Tensor, rows: Tensor, generator: torch.Generator | None = None, uniform: Tensor | None = None
) -> Tensor:
    """Draw for each entry of `rows` (n,) an index with probability softmax(scores[row]); scores: (any, vocabulary).

    `uniform` (n, 1), float64 in [0, 1), are numbers that are drawn already.
    """
    cdf = scores.softmax(-1).cumsum(-1, dtype=torch.float64)[rows]
    if uniform is None:
        uniform = torch.rand(len(rows), 1, dtype=torch.float64, device=cdf.device, generator=generator)
    # `1 - u` lies in (0, 1], so the first index whose CDF reaches it has a probability above zero.
    return torch.searchsorted(cdf, (1 - uniform) * cdf[:, -1:]).squeeze(1)


def unique_rows(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where equal rows occur first (unique,), and which of those each row is (rows,); ids, mask: (rows, length)."""
    seen: dict[bytes, int] = {}
    masked = ids.masked_fill(~mask.bool(), -1).cpu().numpy()
    which = [seen.setdefault(row.tobytes(), len(seen)) for row in masked]
    first = [which.index(i) for i in range(len(seen))]
    return torch.tensor(first, device=ids.device), torch.tensor(which, device=ids.device)


def sample(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    sampling: Sampling,
    *,
    eos_token_ids: Sequence[int],
    pad_token_id: int,
    generator: Dice = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample `sampling.n` completions of each left-padded prompt.

    Args:
        model: causal LM for which `can_sample` holds, in evaluation mode unless dropout is off.
        input_ids, attention_mask: (prompts, P), padded on the left.
        sampling: how to sample; its seed is not used, `generator` is.
        generator: the dice; torch's global ones if not given. `RowDice` has a seed for each of the prompts · n rows.

    Returns:
        completion_ids: (prompts · n, T), including the end token, padded on the right; T is the longest completion.
            Those of prompt i are rows i · n to (i + 1) · n − 1.
        lengths: (prompts · n,), tokens of each completion, including the end token.
        logprobs: (prompts · n, T), log-probability of each token under softmax(logits / temperature) — at temperature 0
            under softmax(logits) — before top-k, top-p and min-p; 0 on padding.
    """
    with torch.inference_mode():
        first, which = unique_rows(input_ids, attention_mask)
        decoder = _Decoder(model, input_ids[first], attention_mask[first].bool())
        ends = torch.tensor(list(eos_token_ids), device=input_ids.device)
        slot = which.repeat_interleave(sampling.n)
        ids, lengths, logprobs = _sample(decoder, slot, sampling, ends, pad_token_id, generator)
    return ids.clone(), lengths.clone(), logprobs.clone()  # ordinary tensors, which autograd may save


class _Decoder:
    """The model with its cache: a slot of the batch for each distinct text so far.

    Args:
        ids, mask: (slots, P), different prompts, padded on the left.

    Attributes:
        logits: (slots, vocabulary), of the token to come.
    """

    def __init__(self, model: PreTrainedModel, ids: Tensor, mask: Tensor):
        start = int(mask.any(0).nonzero()[0, 0])  # the columns before are padding in every row
        ids, mask = ids[:, start:], mask[:, start:]
        self.model = model
        self.cache = DynamicCache(config=model.config)
        self.mask = None if bool(mask.all()) else mask
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        self.logits = self._forward(ids, position)
        self.position = position[:, -1:]  # (slots, 1), of the last token

    def feed(self, token: Tensor, source: Tensor | None) -> None:
        """Append a token (slots,) to each slot, which continues the old slot `source` (slots,) or, if None, itself."""
        if source is not None:
            self.cache.batch_select_indices(source)
            self.position = self.position[source]
            self.mask = None if self.mask is None else self.mask[source]
        self.position = self.position + 1
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.logits = self._forward(token[:, None], self.position)

    def _forward(self, ids: Tensor, position: Tensor) -> Tensor:
        output = self.model(
            ids,
            attention_mask=self.mask,
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]


def _sample(
    decoder: _Decoder, slot: Tensor, sampling: Sampling, ends: Tensor, pad: int, generator: Dice
) -> tuple[Tensor, Tensor, Tensor]:
    """`sample` from a decoder that has read the prompts; `slot` (rows,) says whose prompt each row continues.

    Completions that are still equal share a slot.
    """
    rows, device = len(slot), slot.device
    ids = torch.full((rows, sampling.max_tokens), pad, device=device)
    logprobs = torch.zeros(rows, sampling.max_tokens, device=device)
    lengths = torch.full((rows,), sampling.max_tokens, device=device)
    live = torch.arange(rows, device=device)  # (live,): the rows that have not ended; `slot` is theirs
    for step in range(sampling.max_tokens):
        scores = decoder.logits.float() / (sampling.temperature or 1.0)
        if sampling.temperature == 0:
            token = scores.argmax(-1)[slot]
        else:
            kept = filter_scores(scores, sampling.top_k, sampling.top_p, sampling.min_p)
            if isinstance(generator, RowDice):
                token = draw(kept, slot, uniform=generator.uniform(live, step))
            else:
                token = draw(kept, slot, generator)
        ids[live, step] = token
        logprobs[live, step] = scores.log_softmax(-1)[slot, token]
        ended = torch.isin(token, ends)
        lengths[live[ended]] = step + 1
        live, slot, token = live[~ended], slot[~ended], token[~ended]
        if len(live) == 0 or step + 1 == sampling.max_tokens:
            break
        token, slot, source = _branch(slot, token, len(scores), scores.shape[-1])
        decoder.feed(token, source)
    return ids[:, : step + 1], lengths, logprobs[:, : step + 1]


def _branch(slot: Tensor, token: Tensor, slots: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Give each distinct (slot, token) a slot: the first token of a slot stays in it, others get new ones at the end.

    From the slot of each row and what it drew (live,), to the tokens to feed (new slots,), the new slot of each row
    (live,), and the old slot that each new one continues (new slots,), None if that is the same as before. Slots
    without rows stay until they are many.
    """
    children, child = torch.unique(slot * vocabulary + token, return_inverse=True)
    parent, tokens = children // vocabulary, children % vocabulary
    added = torch.cat([parent.new_zeros(1, dtype=torch.bool), parent[1:] == parent[:-1]])
    total = slots + int(added.sum())
    if len(children) < COMPACT_BELOW * total:
        return tokens, child, parent
    place = torch.where(added, slots - 1 + added.cumsum(0), parent)
    feed = tokens.new_zeros(total)
    feed[place] = tokens
    source = torch.cat([torch.arange(slots, device=parent.device), parent[added]]) if total > slots else None
    return feed, place[child], source
