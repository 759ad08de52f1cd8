"""A run's page: the numbers shown are the ones in the files, whatever the files hold."""

import json
import math
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.errors import ReportError
from r1lab.report.page import write_page
from r1lab.report.words import clean, cut

HOSTILE = (
    "<script>alert(1)</script>]]><![CDATA[</pre></textarea>"
    + "\0\ud800\u202e{{ 7 * 7 }}&amp;\"'<img src=x onerror=alert(2)>"
)


@pytest.fixture(scope="module")
def page(build_run, tmp_path_factory):
    """The page of a run that went well."""
    return write_page(build_run(tmp_path_factory.mktemp("sound") / "run"))


def test_the_headline_says_what_ran_how_it_ended_and_what_came_out(page, text_of):
    text = text_of(page)
    assert "carry-the-one finished" in text
    for fact in ("task grpo", "model tiny", "dataset arithmetic", "rewards accuracy × 1 and format × 0.2", "steps 300"):
        assert fact in text
    assert "wall time 14 min 3 s" in text
    result = text_of(page, "result")
    assert "44.0 %" in result and "95 % interval 39.2 % to 48.9 %" in result
    assert "87.1 %" in result and "95 % interval 83.2 % to 90.3 %" in result
    assert "+43.1 points: the intervals are apart" in result


def test_notes_are_shown_in_the_runs_own_words(page, contents, text_of):
    learnt = text_of(page, "learnt")
    assert learnt == "What was learnt " + " ".join(contents["summary"]["notes"])


def test_without_notes_the_sentences_are_worked_out_and_say_so(fake_run, contents, text_of):
    summary = {key: value for key, value in contents["summary"].items() if key != "notes"}
    learnt = text_of(write_page(fake_run(summary=summary)), "learnt")
    assert "worked out from the numbers" in learnt
    assert "eval/accuracy went from 44.0 % to 87.1 %; the intervals are apart." in learnt


def test_a_run_can_be_repeated_from_its_page(page, text_of):
    again = text_of(page, "again")
    assert text_of(page, "command") == """python -m r1lab task=grpo trainer.learning_rate=0.0001 'name=it'"'"'s mine'"""
    for fact in (
        "3f2a9c17be04d1 with uncommitted changes",
        "a81c44e09d and 20,000 rows",
        "5,243,136 parameters",
        "NVIDIA H200",
    ):
        assert fact in again
    assert text_of(page, "config").startswith("name: carry-the-one seed: 7 task: name: grpo")
    assert "eval/accuracy_low 0.8318" in text_of(page, "summary")
    assert "torch 2.13.0" in text_of(page, "details")


@pytest.mark.parametrize(
    ("gpus", "shown"), [(0, "no GPU"), ([], "no GPU"), (2, "2 GPUs"), (["H200", "H200"], "H200 and H200")]
)
def test_the_gpus_are_named_or_counted(fake_run, contents, text_of, gpus, shown):
    page = write_page(
        fake_run(manifest=contents["manifest"] | {"hardware": {"cpu": "EPYC", "gpus": gpus}}, metrics=None)
    )
    assert f"hardware EPYC and {shown} python" in text_of(page, "again")


def test_completions_stand_early_beside_late(page, text_of, tags_of):
    text = text_of(page, "completions")
    assert "What is 100 + 58? solution: 158" in text
    assert "✗ wrong early, step 0 128 tokens cut at the length limit accuracy 0, format not verifiable" in text
    assert "✓ right late, step 300 54 tokens accuracy 1, format not verifiable" in text
    articles = [attributes["class"] for tag, attributes in tags_of(page) if tag == "article"]
    assert articles[:4] == ["card pair learnt-pair"] * 3 + ["card pair lost-pair"]
    assert len(articles) == 12


def test_a_dead_reward_infrastructure_failures_and_nan_are_red(fake_run, contents, text_of, tags_of):
    lines = [dict(line) for line in contents["lines"]]
    for line in lines:
        if "reward" in line:
            line |= {
                "rewards/format": 0,
                "rewards/format/std": 0.0,
                "infrastructure_failures/accuracy": 2,
                "skipped/accuracy": 1,
            }
    lines[-1]["loss"] = None
    page = write_page(fake_run(metrics=lines))
    text = text_of(page)
    assert "dead reward format was 0 at every logged step" in text
    assert "infrastructure failures accuracy: 600 could not be judged" in text
    assert "skipped accuracy: 300 skipped as not verifiable" in text
    assert "broken numbers Not a number, or infinite: loss from step 300." in text
    kinds = [a["class"] for tag, a in tags_of(page) if tag == "li" and a.get("class") in ("bad", "warn")]
    assert kinds == ["bad", "bad", "bad", "warn"]
    assert "format 0.2 0 0 0 0 dead reward" in text_of(page, "rewards")


def test_a_sound_run_has_no_warning(page, tags_of):
    assert not [a for tag, a in tags_of(page) if a.get("class") == "findings"]


def test_a_failed_run_shows_its_cause_and_the_end_of_its_log(fake_run, contents, text_of):
    failed = contents["manifest"] | {"status": "failed", "cause": "CUDA out of memory", "exit": 1}
    page = write_page(fake_run(manifest=failed, summary=None, metrics=contents["lines"][:150], log="one\ntwo\nthree\n"))
    assert "carry-the-one failed Cause: CUDA out of memory" in text_of(page)
    assert text_of(page, "log") == "The end of the log one two three"
    assert "at step 120, the last evaluation on record" in text_of(page, "result")


def test_a_run_killed_before_its_second_evaluation_claims_nothing(fake_run, contents, text_of):
    running = contents["manifest"] | {"status": "running", "ended": None}
    page = write_page(fake_run(manifest=running, summary=None, metrics=contents["lines"][:20]))
    assert "not measured after training" in text_of(page, "result")
    assert "wall time at least" in text_of(page)
    assert "interrupted Cause: no end was recorded" in text_of(page)


def test_an_eval_only_run_has_one_number(fake_run, text_of):
    line = {"step": 0, "time": 5.0, "eval/accuracy": 0.5, "eval/accuracy_low": 0.4, "eval/accuracy_high": 0.6}
    page = write_page(fake_run(metrics=[line], summary=None, train=None, config="task: {name: eval}"))
    result = text_of(page, "result")
    assert "Eval accuracy 50.0 % 95 % interval 40.0 % to 60.0 %" in result
    assert "before" not in result and "→" not in result


def test_an_sft_run_shows_its_loss_and_token_accuracy(fake_run, text_of):
    lines = [{"step": s, "time": s, "loss": 2.5 / s, "mean_token_accuracy": 0.5 + s / 100} for s in range(1, 31)]
    config = "name: sft\ntask: {name: sft}\nmodel: {name: qwen}\ndataset: {name: traces}\n"
    page = write_page(
        fake_run(config=config, metrics=lines, summary={"train_seconds": 3.0}, train=None, evaluated=None)
    )
    text = text_of(page)
    assert "task sft" in text
    assert "Loss loss 0.08333" in text and "mean_token_accuracy 0.8" in text
    assert 'id="result"' not in page.read_text()


def test_metrics_unknown_to_the_page_stand_under_other(page, text_of):
    assert "Other metrics (2) gpu_temperature gpu_temperature 69.95" in text_of(page)


def test_hostile_text_is_shown_as_text_wherever_it_comes_from(fake_run, contents, tags_of, text_of):
    line = contents["completion"](0, 0, right=True)
    line |= {
        "prompt": HOSTILE,
        "completion": HOSTILE * 2,
        "solution": HOSTILE,
        "rewards": {HOSTILE: 1.0},
        "finish": HOSTILE,
    }
    metrics = [
        {"step": s, "time": s, HOSTILE: s, f"rewards/{HOSTILE}": s, f"eval/{HOSTILE}": s, "$x$": 1} for s in (1, 2)
    ]
    manifest = contents["manifest"] | {
        "status": "failed",
        "cause": HOSTILE,
        "command": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
    }
    summary = {"notes": [HOSTILE], HOSTILE: HOSTILE}
    config = json.dumps({"name": HOSTILE, "task": HOSTILE, "reward": {HOSTILE: {"weight": 1}}})
    page = write_page(
        fake_run(
            train=[line],
            evaluated=[line],
            metrics=metrics,
            manifest=manifest,
            summary=summary,
            config=config,
            log=HOSTILE,
        )
    )
    tags = tags_of(page)
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "iframe", "object"})
    assert not [attributes for _, attributes in tags if any(name.startswith("on") for name in attributes)]
    assert "<script>alert(1)</script>]]><![CDATA[</pre></textarea>␀�" in text_of(page, "completions")
    assert "{{ 7 * 7 }}&amp;" in text_of(page, "learnt")


def test_the_page_stands_alone(page, tags_of):
    for tag, attributes in tags_of(page):
        for name in ("src", "href", "xlink:href", "action", "data"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    text = page.read_text()
    assert "url(http" not in text and "@import" not in text
    assert "default-src 'none'" in text and "script-src 'none'" in text


def test_a_hundred_thousand_lines_make_a_small_page(fake_run, contents, text_of):
    metrics = "".join(
        f'{{"step": {s}, "time": {s / 2}, "reward": {s % 7}, "loss": {1 / (s + 1)}}}\n' for s in range(100_000)
    )
    long = contents["completion"](0, 0, right=True) | {"completion": "x" * 5_000_000}
    page = write_page(fake_run(metrics=metrics, train=[long], config="name: x\n" + "#" * 300_000))
    assert page.stat().st_size < 3_000_000
    assert "steps 99,999" in text_of(page)
    assert "characters are not shown" in text_of(page, "completions")


def test_hundreds_of_metrics_and_rewards_make_a_small_page(fake_run, text_of):
    metrics = [
        {"step": s, **{f"m{i}": s * i for i in range(300)}, **{f"rewards/r{i}": 1 / (s + i) for i in range(1, 99)}}
        for s in range(60)
    ]
    page = write_page(fake_run(metrics=metrics))
    assert page.stat().st_size < 3_000_000
    assert "Not drawn, for want of room" in text_of(page)


def test_the_same_folder_gives_the_same_page(fake_run):
    folder = fake_run(steps=20)
    assert write_page(folder).read_bytes() == write_page(folder).read_bytes()
    assert [path.name for path in folder.iterdir() if path.name.endswith(".tmp")] == []


def test_an_empty_folder_has_a_page_and_a_missing_one_is_an_error(tmp_path, text_of):
    text = text_of(write_page(tmp_path))
    assert "run.yaml is missing. manifest.json is missing. metrics.jsonl is missing." in text
    with pytest.raises(ReportError, match="gone"):
        write_page(tmp_path / "gone")


class _Pre(HTMLParser):
    text, depth = "", 0

    def handle_starttag(self, tag, attrs):
        self.depth += tag == "pre" or self.depth > 0

    def handle_endtag(self, tag):
        self.depth -= self.depth > 0

    def handle_data(self, data):
        self.text += data if self.depth else ""


@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(), max_size=300))  # every code point, lone surrogates too
def test_any_completion_is_shown_as_it_is(text):
    line = {"step": 1, "prompt": "p", "completion": text, "solution": None, "rewards": {"accuracy": 1.0}}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "completions").mkdir()
        (Path(folder) / "completions/eval.jsonl").write_text(json.dumps(line))
        page = write_page(Path(folder)).read_text(encoding="utf-8")
    reader = _Pre()
    reader.feed(page)
    assert (clean(text) or "(empty)") in reader.text


values = st.one_of(
    st.floats(), st.integers(), st.none(), st.text(max_size=3), st.booleans(), st.lists(st.integers(), max_size=1)
)
keys = st.sampled_from(
    [
        "loss",
        "reward",
        "rewards/a",
        "rewards/a/std",
        "eval/accuracy",
        "eval/accuracy_low",
        "eval/accuracy_high",
        "skipped/a",
        "infrastructure_failures/a",
        "kl",
    ]
) | st.text(max_size=5)


@settings(max_examples=10, deadline=None)
@given(
    lines=st.lists(st.dictionaries(keys, values, max_size=4), max_size=5),
    summary=st.dictionaries(keys | st.sampled_from(["objective", "notes", "eval/accuracy_before"]), values, max_size=4),
    manifest=st.dictionaries(
        st.sampled_from(["status", "cause", "git", "hardware", "resumed", "command", "started", "ended"]), values
    ),
)
def test_any_numbers_make_a_page(lines, summary, manifest):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = [json.dumps({"time": 1.0, **line, "step": step}) for step, line in enumerate(lines)]
        (folder / "metrics.jsonl").write_text("\n".join(records))
        (folder / "metrics.json").write_text(json.dumps(summary))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert "</html>" in write_page(folder).read_text(encoding="utf-8")


@given(st.text(max_size=200), st.integers(3, 100))
def test_a_cut_text_says_how_much_is_missing(text, limit):
    short = cut(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        head, tail = math.ceil(limit - limit // 3), limit // 3
        assert short.startswith(text[:head]) and short.endswith(text[len(text) - tail :])
        assert f"cut here: {len(text) - limit:,} of {len(text):,} characters" in short
