"""What needs the tokenizer, the template, the data and the rewards to be told, before any weight is loaded.

The ideal completion of a row must get full marks when it has gone through the tokenizer as a sampled one does, the tags
must survive decoding, the prompt must not have opened the think block for a reward that wants it opened, and, where
completions are trained on, the template must keep them whole and the token that ends them must have a label.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from r1lab.data import loading as data
from r1lab.errors import ConfigError, Finding, UserError
from r1lab.models.tokens import closing, end_of_turn, load_tokenizer, turn
from r1lab.rewards.base import Failure, Mark, Reward, build_all
from r1lab.rewards.ideal import CODE, STEPS, full_marks, ideal
from r1lab.rewards.text import TAGS

log = logging.getLogger("r1lab")
ROWS = 8  # rows tried until one is judged as it should be
TRAINED_ON_TEXT = ("sft", "rft")  # tasks whose completions go through the template
BY_CHANCE = ("coin_flip", "length")  # no completion has full marks by itself
COMBINED = ("weighted_sum", "gate")  # their parts may lack what they need, so that they only warn
OPENED = ("format", "tag_count", "code_format")  # rewards that want <think> in the completion


def audit(cfg: DictConfig) -> list[Finding]:
    """Everything that `examine` finds in a run; also what keeps the tokenizer, the data or a reward from loading.

    Args:
        cfg: the resolved run.
    """
    try:
        tok = load_tokenizer(cfg.model)
        rows = data.load(cfg.dataset).train
        return examine(cfg, tok, [rows[i] for i in range(min(ROWS, len(rows)))], build_all(cfg))
    except ConfigError as error:
        return error.findings
    except UserError as error:
        what, _, fix = str(error).partition("\n    fix")
        return [Finding(what, fix=fix.strip())]


def require(cfg: DictConfig, tok: PreTrainedTokenizerBase, rows: Any, rewards: Sequence[Reward]) -> None:
    """Refuse a run with which something is wrong, and log what is worth saying.

    Args:
        cfg: the resolved run.
        tok: its tokenizer.
        rows: the dataset to train on; its first rows are looked at.
        rewards: the run's rewards; the state of one that has a state is left as it was, and so are Python's dice.

    Raises:
        ConfigError: with the findings.
    """
    dice = random.getstate()
    functions: list[Any] = [item.function for item in rewards if hasattr(item.function, "state_dict")]
    states = [(function, function.state_dict()) for function in functions]
    findings = examine(cfg, tok, [rows[i] for i in range(min(ROWS, len(rows)))], rewards)
    for function, state in states:
        function.load_state_dict(state)
    random.setstate(dice)
    for finding in findings:
        if finding.severity != "error":
            log.warning("%s", finding.text())
    if errors := [finding for finding in findings if finding.severity == "error"]:
        raise ConfigError(errors)


def examine(
    cfg: DictConfig, tok: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]], rewards: Sequence[Reward]
) -> list[Finding]:
    """The findings about a tokenizer, some rows of the dataset and the rewards of a run."""
    wanted = {kind(reward): reward for reward in rewards}
    told = tags_lost(tok) if wanted.keys() & {*OPENED, "think_format"} else []
    told += opening(tok, wanted)
    if cfg.task.name in TRAINED_ON_TEXT:
        told += trained_turns(tok)
    elif end_of_turn(tok) is None:
        told += [_no_end(tok, "warning")]
    if not told:  # a fault found above shows again in every mark
        for reward in rewards:
            told += marks_of(tok, rows, reward, list(wanted), cfg.task.name in TRAINED_ON_TEXT)
    return told


def kind(reward: Reward) -> str:
    """The function behind a reward, whatever the config calls it; "" for a reward of the user's own."""
    return reward.target.rpartition(".")[2] if reward.target.startswith("r1lab.") else ""


def decoded(tok: PreTrainedTokenizerBase, text: str) -> tuple[str, list[int]]:
    """A completion as a reward sees it, through the tokenizer and back without special tokens; and its tokens."""
    ids = tok.encode(text, add_special_tokens=False)
    return tok.batch_decode([ids], skip_special_tokens=True)[0], ids


def tags_lost(tok: PreTrainedTokenizerBase) -> list[Finding]:
    """Tags that decoding drops because the tokenizer holds them for special tokens."""
    lost = [tag for tag in TAGS if tag not in decoded(tok, f"a\n{tag}\nb")[0]]
    if not lost:
        return []
    what = f"{', '.join(lost)} are special tokens of {tok.name_or_path}: decoding drops them, so no reward sees them"
    return [Finding(what, "model", fix="a tokenizer that holds them as ordinary tokens, or reward=[accuracy]")]


def opening(tok: PreTrainedTokenizerBase, wanted: Mapping[str, Reward]) -> list[Finding]:
    """Rewards that want the think block opened by the completion while the prompt opens it, or the other way round."""
    opened = turn(tok)[0].rstrip().endswith("<think>")
    findings = []
    for name in OPENED:
        if opened and name in wanted:
            what = f"the chat template ends the prompt with <think>, so reward {wanted[name].__name__} can never be met"
            nearest = "reward=[…,think_format]" if name == "format" else ""
            fix = "model.chat_template=FILE.jinja without it"
            if "<｜Assistant｜>" in tok.get_vocab():
                fix = "model.chat_template=deepseek, which leaves <think> to the completion"
            findings.append(Finding(what, f"reward.{wanted[name].__name__}", nearest, fix))
    if not opened and "think_format" in wanted:
        name = wanted["think_format"].__name__
        what = f"the chat template leaves <think> to the completion, so reward {name} can never be met"
        findings.append(Finding(what, f"reward.{name}", "reward=[…,format]"))
    return findings


def trained_turns(tok: PreTrainedTokenizerBase) -> list[Finding]:
    """Whether a completion that is trained on keeps its thinking, ends with one token, and that token has a label."""
    said = ideal({"solution": "1"})
    prompt, answer = turn(tok, said)
    place = "model.chat_template"
    if STEPS not in prompt + answer:
        what = "the chat template leaves out the thinking of the answers to be learnt"
        fix = (
            f"{place}=deepseek" if "<｜Assistant｜>" in tok.get_vocab() else f"{place}=FILE.jinja that keeps them whole"
        )
        return [Finding(what, place, fix=fix)]
    last = end_of_turn(tok)
    if last is None:
        return [_no_end(tok, "error")]
    if not end_is_labelled(tok, prompt, answer):
        what = f"the end token {tok.eos_token} has no label: the template ends an answer with {last}"
        return [Finding(what, "model.eos_token", f"model.eos_token={last}")]
    return []


def end_is_labelled(tok: PreTrainedTokenizerBase, prompt: str, answer: str) -> bool:
    """Whether the end token of an answer is learnt when TRL's collator has padded the answer beside a longer one."""
    first = tok.encode(prompt, add_special_tokens=False)
    rest = tok.encode(answer, add_special_tokens=False)
    example = {"input_ids": first + rest, "labels": [-100] * len(first) + rest}
    longer = {name: ids + [rest[0]] * 3 for name, ids in example.items()}
    batch = DataCollatorForLanguageModeling(pad_token_id=tok.pad_token_id)([example, longer])
    return tok.eos_token_id in batch["labels"][0].tolist()


def marks_of(
    tok: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]], reward: Reward, names: list[str], on_text: bool
) -> list[Finding]:
    """Whether a reward gives the ideal completion of some row full marks."""
    if not kind(reward) or kind(reward) in BY_CHANCE:
        return []
    tried: list[tuple[Mark, float]] = []
    for row in rows:
        if not set(reward.needs) <= row.keys() or not _has_gold(reward, row):
            continue
        text, ids = decoded(tok, ideal(row, names))
        most = full_marks(reward, text)
        columns = {name: [value] for name, value in row.items()}
        mark = reward.judge([text], **{**columns, "completion_ids": [ids]})[0]
        if isinstance(mark, float) and mark >= most - 1e-6:
            return _rewritten(tok, row, reward, names) if on_text else []
        tried.append((mark, most))
    if not tried:
        return []
    (mark, most), name = tried[0], reward.__name__
    if isinstance(mark, Failure):
        what = f"reward {name} cannot judge: {mark.reason}"
        return [Finding(what, f"reward.{name}", fix="mend the cause, or leave the reward out")]
    if all(mark is None for mark, _ in tried):
        what = f"reward {name} can verify none of the first {len(tried)} gold answers"
        return [Finding(what, f"reward.{name}", fix="dataset.answer=COLUMN with the gold answer", severity="warning")]
    what = f"reward {name} gives the ideal completion {mark}, not {most:g}"
    severity = "warning" if kind(reward) in COMBINED else "error"
    return [Finding(what, f"reward.{name}", fix="rewards that one completion can meet together", severity=severity)]


def _has_gold(reward: Reward, row: Mapping[str, Any]) -> bool:
    """Whether the row holds what an ideal completion for the reward is made of: a program, or the gold answer."""
    others = set(reward.needs) - {"solution"}
    return not others or any(row.get(name) for name in CODE)


def _rewritten(tok: PreTrainedTokenizerBase, row: Mapping[str, Any], reward: Reward, names: list[str]) -> list[Finding]:
    """Whether the template, in rendering an answer to be learnt, makes it one that the reward marks down."""
    said = ideal(row, names)
    text = decoded(tok, turn(tok, said)[1])[0].rstrip()
    columns = {name: [value] for name, value in row.items()}
    mark = reward.judge([text], **{**columns, "completion_ids": [tok.encode(text, add_special_tokens=False)]})[0]
    most = full_marks(reward, text)
    if not isinstance(mark, float) or mark >= most - 1e-6:
        return []
    what = f"the chat template rewrites an answer, and reward {reward.__name__} then gives it {mark:g}, not {most:g}"
    return [Finding(what, "model.chat_template", fix="model.chat_template=chatml", severity="warning")]


def _no_end(tok: PreTrainedTokenizerBase, severity: str) -> Finding:
    ending = closing(tok)
    what = f"the chat template ends an answer with {ending!r}, which is no token" if ending else ""
    what = what or "the chat template puts no end behind an answer"
    fix = "a template that ends answers with a token of the tokenizer, such as model.chat_template=chatml"
    return Finding(f"{what}: nothing teaches the model to stop", "model.chat_template", fix=fix, severity=severity)
