"""What goes to a server of OpenAI's chat API and comes back from it: requests and replies as JSON values.

Source: https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from typing import Any

from r1lab.engines.base import Completion, Conversation, Sampling, seed_of


def body_of(model: str, prompt: Conversation, sampling: Sampling, index: int) -> dict[str, Any]:
    """The request for one completion; settings at their defaults are left out, as not every server knows them."""
    body: dict[str, Any] = {
        "model": model,
        "messages": list(prompt),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed_of(sampling.seed, prompt, index),
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    return body


def completion_of(reply: dict[str, Any]) -> Completion:
    """The completion in a reply of the chat API.

    Raises:
        KeyError, IndexError, TypeError, ValueError: it is none.
    """
    choice = reply["choices"][0]
    message = choice["message"]
    content, refusal = message.get("content"), message.get("refusal")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    finish = choice["finish_reason"]
    if refusal or finish == "content_filter":
        return Completion("", 0, "refusal", error=str(refusal or "content filter"))
    if not isinstance(content, str | None) or not isinstance(reasoning, str):
        raise TypeError("content that is no text")
    if content is None and not reasoning:
        raise ValueError("no content")
    if finish not in ("stop", "length"):
        raise ValueError(f"finish_reason {finish!r}")
    usage = reply.get("usage") or {}
    counts = {name: usage.get(name) for name in ("completion_tokens", "prompt_tokens")}
    if odd := [count for count in counts.values() if count is not None and not (type(count) is int and count >= 0)]:
        raise ValueError(f"{odd[0]!r} tokens")
    tokens, asked = counts["completion_tokens"] or 0, counts["prompt_tokens"]
    return Completion(content or "", tokens, finish, reasoning=reasoning, prompt_tokens=asked)
