"""Rows that are too long: counted, and left out, cut or refused as the config says; never in silence.

A row's tokens are counted with the chat template. Only rows with more bytes than the limit has tokens are tokenized, as
no token is shorter than a byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig

from r1lab.data.splits import Splits
from r1lab.data.telling import tell
from r1lab.errors import DataError, Finding
from r1lab.wording import plural

REFUSE, DROP, TRUNCATE = "refuse", "drop", "truncate"
CHUNK = 256


def lengths(texts: Iterable[str], tok: Any, limit: float) -> Iterator[int]:
    """The tokens of each text; 0 stands for any number within the limit."""
    pending: list[tuple[int, str]] = []
    size = 0
    for text in texts:
        size += 1
        if len(text.encode("utf-8", "replace")) > limit:
            pending.append((size - 1, text))
        if size == CHUNK:
            yield from _counted(pending, size, tok, limit)
            pending, size = [], 0
    yield from _counted(pending, size, tok, limit)


def _counted(pending: list[tuple[int, str]], size: int, tok: Any, limit: float) -> list[int]:
    found = [0] * size
    ids = tok([text for _, text in pending], add_special_tokens=False)["input_ids"] if pending else []
    for (place, _), tokens in zip(pending, ids, strict=True):
        found[place] = len(tokens) if len(tokens) > limit else 0
    return found


def prompt_text(tok: Any, turns: Any) -> str:
    """A prompt as the model reads it."""
    return str(tok.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def fit_prompts(splits: Splits, tok: Any, context: int | None, new_tokens: tuple[int, int], cfg: DictConfig) -> Splits:
    """Splits whose prompts leave room for a completion in a context, and are within `dataset.max_prompt_tokens`.

    Args:
        splits: with `prompt` columns of conversations.
        tok: the tokenizer, its template set.
        context: of the model, in tokens.
        new_tokens: the longest completion in training, and the longest in evaluations; 0 where there are none.
        cfg: the `dataset` node. Rows beyond `max_prompt_tokens` are left out, those without room are refused, unless
            `too_long` says the one or the other for both.

    Raises:
        DataError: how many are too long and how long the longest is; or none is left.
    """
    parts = []
    for noun, rows, tokens in (
        ("prompt", splits.train, new_tokens[0]),
        ("held-out prompt", splits.test, new_tokens[1]),
    ):
        most = cfg.max_prompt_tokens
        room = max(0, context - tokens) if context and tokens else None
        no_room = f"leave no room for {tokens} new tokens in the model's context of {context}"
        for limit, why, how in (
            (most, f"are longer than dataset.max_prompt_tokens={most}", cfg.too_long or DROP),
            (room, no_room, cfg.too_long or REFUSE),
        ):
            if limit is not None and len(rows):
                counts = list(lengths((prompt_text(tok, turns) for turns in rows["prompt"]), tok, limit))
                rows = _without(rows, counts, noun, why, how)
        parts.append(rows)
    return Splits(parts[0], parts[1], splits.said)


def _without(rows: Dataset, counts: list[int], noun: str, why: str, too_long: str) -> Dataset:
    """Rows without those that have a count, which are told; refused where that is asked for."""
    over = [count for count in counts if count]
    if not over:
        return rows
    told = f"{len(over):,} of {plural(len(counts), noun)} {why}: the longest has {max(over):,} tokens"
    begins = _beginning(rows[counts.index(max(over))])
    if too_long == REFUSE:
        fix = "dataset.too_long=drop leaves those rows out; or ask for shorter completions"
        raise DataError(Finding(f"{told}, and begins {begins!r}", fix=fix).text())
    if len(over) == len(counts):
        raise DataError(f"{told}; leaving them out would leave nothing")
    tell([f"{told}; those rows are left out"])
    return rows.select([number for number, count in enumerate(counts) if not count])


def fit_conversations(
    rows: Dataset, tok: Any, max_length: int | None, cfg: DictConfig, splits: bool = False
) -> Dataset:
    """Rows for SFT within `trainer.max_length` tokens and the dataset's own limits.

    Args:
        rows: with `prompt` and `completion`, `messages` or `text`.
        tok: the tokenizer, its template set.
        max_length: where the trainer cuts a sequence.
        cfg: the `dataset` node. Rows beyond `max_prompt_tokens` or `max_tokens` are left out, those beyond `max_length`
            are cut, unless `too_long` says "drop" or "refuse" for all.
        splits: whether the trainer's packing carries what is beyond `max_length` over into other sequences.

    Raises:
        DataError: rows are too long and that is to be refused; or none is left.
    """
    how = cfg.too_long or TRUNCATE
    if "prompt" in rows.column_names:
        prompts = [(cfg.max_prompt_tokens, f"are longer than dataset.max_prompt_tokens={cfg.max_prompt_tokens}")]
        if how == TRUNCATE and max_length and not splits:
            prompts.append(
                (max_length - 1, f"leave no token for their completion within trainer.max_length={max_length}")
            )
        for limit, why in prompts:
            if limit:
                counts = list(lengths((prompt_text(tok, turns) for turns in rows["prompt"]), tok, limit))
                rows = _without(rows, counts, "prompt", why, DROP if how == TRUNCATE else how)
    whole = _whole(tok, rows.column_names)
    for limit, name in ((cfg.max_tokens, "dataset.max_tokens"), (max_length, "trainer.max_length")):
        if limit:
            counts = list(lengths(map(whole, rows), tok, limit))
            why = f"are longer than {name}={limit}"
            if how == TRUNCATE and name == "trainer.max_length":
                _tell_cut(counts, why, "carried over into other sequences" if splits else "cut at the end")
            else:
                rows = _without(rows, counts, "conversation", why, DROP if how == TRUNCATE else how)
    return rows


def _beginning(row: dict[str, Any], most: int = 60) -> str:
    """What a row that may be anywhere in its files can be found by: how the last thing that its user says begins."""
    turns = row.get("messages") or row.get("prompt")
    said = [turn["content"] for turn in turns or [] if turn["role"] == "user"] or [row.get("text") or ""]
    text = " ".join(str(said[-1])[: 4 * most].split())
    return text if len(text) <= most else f"{text[:most]}…"


def _tell_cut(counts: list[int], why: str, what: str) -> None:
    if over := [count for count in counts if count]:
        longest = f"the longest has {max(over):,} tokens"
        lost = sum(over)
        tell([f"{len(over):,} of {plural(len(counts), 'conversation')} {why} ({longest}, {lost:,} in all): {what}"])


def _whole(tok: Any, columns: list[str]) -> Callable[[dict[str, Any]], str]:
    """How a row for SFT reads as a whole."""
    if "text" in columns:
        return lambda row: row["text"] + tok.eos_token
    if "messages" in columns:
        return lambda row: str(tok.apply_chat_template(row["messages"], tokenize=False))
    return lambda row: str(tok.apply_chat_template(row["prompt"] + row["completion"], tokenize=False))
