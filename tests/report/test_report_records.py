"""Reading a run's folder, whole and broken."""

import json
import math

import pytest

from r1lab.errors import ReportError
from r1lab.report.records import read_run
from r1lab.runs.folder import RunFolder


def test_a_whole_folder_is_read_without_damage(fake_run):
    run = read_run(fake_run())
    assert (run.name, run.status, run.cause, run.damage) == ("carry-the-one", "finished", None, [])
    assert (run.seconds, run.seconds_known, run.last_step) == (14 * 60 + 3, True, 300)
    assert run.config["reward"]["format"]["weight"] == 0.2
    accuracy = run.series["eval/accuracy"]
    assert list(accuracy.steps) == list(range(0, 301, 30))
    assert accuracy.at(0) == 0.44


def test_a_folder_that_is_not_there_is_an_error_naming_it(tmp_path):
    with pytest.raises(ReportError, match=r"nowhere.*No such file"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match=r"file.*Not a directory"):
        read_run(tmp_path / "file")


def test_a_torn_last_line_is_left_out_and_said(fake_run):
    folder = fake_run(metrics='{"step": 1, "time": 2.5, "loss": 0.5}\n{"step": 2, "time": 3, "lo', manifest=None)
    run = read_run(folder)
    assert run.series["loss"].values.tolist() == [0.5]
    assert run.damage == ["manifest.json is missing.", "metrics.jsonl: the last line is torn and was left out."]
    assert (run.status, run.seconds, run.seconds_known) == ("interrupted", 2.5, False)


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "null",
        '{"loss": 1}',
        '{"step": null}',
        '{"step": "x"}',
        '{"step": NaN}',
        '{"step": 1e400}',
        "\0\0\0",
        '{"step": ' + "9" * 5000 + "}",
        '{"step": 99999999999999}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_counted_and_the_rest_is_kept(fake_run, line):
    run = read_run(fake_run(metrics=f'{{"step": 1, "loss": 3}}\n{line}\n{{"step": 2, "loss": 4}}\n'))
    assert run.series["loss"].values.tolist() == [3, 4]
    assert run.damage == ["metrics.jsonl: 1 of 3 lines could not be read and were left out (first: line 2)."]


def test_a_resumed_run_counts_each_step_once_as_written_last(fake_run):
    steps = [(1, 10.0), (2, 20.0), (3, 30.0), (2, 21.0), (3, 31.0), (4, 41.0)]
    run = read_run(fake_run(metrics=[{"step": s, "loss": v} for s, v in steps]))
    assert run.series["loss"].steps.tolist() == [1, 2, 3, 4]
    assert run.series["loss"].values.tolist() == [10, 21, 31, 41]


def test_numbers_that_are_none_are_gaps(fake_run):
    lines = (
        '{"step": 1, "kl": NaN}\n{"step": 2, "kl": 0.5, "x": Infinity}\n{"step": 3, "kl": null, "rewards/a": null}\n'
    )
    series = read_run(fake_run(metrics=lines)).series
    assert [math.isnan(v) for v in series["kl"].values] == [True, False, True]
    assert (series["kl"].last, series["kl"].first_not_finite) == (0.5, 1)
    assert (series["x"].last, series["x"].first_not_finite) == (None, 2)
    assert (series["rewards/a"].last, series["rewards/a"].first_not_finite) == (None, None)


@pytest.mark.parametrize(
    ("written", "status", "cause"),
    [
        ({"status": "finished", "exit": 0}, "finished", None),
        ({"status": "failed", "cause": "out of memory", "exit": 1}, "failed", "out of memory"),
        ({"status": "failed", "cause": None, "exit": 137}, "failed", "exit code 137, no cause was recorded"),
        ({"status": "interrupted", "cause": None}, "interrupted", "it was interrupted"),
        ({"status": "running"}, "interrupted", "no end was recorded: it was killed, or runs on another machine"),
        (None, "interrupted", "the manifest is missing or torn, so nothing says how the run ended"),
    ],
)
def test_how_a_run_ended(fake_run, written, status, cause):
    run = read_run(fake_run(manifest=written))
    assert (run.status, run.cause) == (status, cause)


def test_a_run_goes_on_while_a_process_holds_its_folder(fake_run, contents):
    folder = fake_run(manifest=contents["manifest"] | {"status": "running"})
    with RunFolder(folder).locked():
        assert (read_run(folder).status, read_run(folder).cause) == ("running", None)
    assert read_run(folder).status == "interrupted"


def test_a_run_that_has_written_nothing_waits(tmp_path):
    (tmp_path / "run.yaml").write_text("name: mine\n")
    assert (read_run(tmp_path).status, read_run(tmp_path).cause) == ("waiting", None)


def test_the_log_is_kept_for_a_failed_run_only_its_last_lines_without_colours(fake_run, contents):
    log = "".join(f"line {i}\n" for i in range(100)) + "10%\r20%\r\x1b[31mout of memory\x1b[0m\n"
    assert read_run(fake_run(log=log)).log_tail == []
    run = read_run(fake_run("failed", log=log, manifest=contents["manifest"] | {"status": "failed"}))
    assert run.log_tail == [*(f"line {i}" for i in range(86, 100)), "out of memory"]


def test_completions_keep_the_earliest_and_the_latest_of_each_prompt(fake_run, contents):
    make = contents["completion"]
    lines = [make(step, problem, right=step > 0) for step in range(0, 500, 10) for problem in range(4)]
    kept = read_run(fake_run(train=lines)).completions["train"]
    first = [(c.step, c.prompt) for c in kept][:4]
    assert first == [
        (0, "What is 100 + 58?"),
        (0, "What is 137 + 149?"),
        (0, "What is 174 + 240?"),
        (0, "What is 211 + 331?"),
    ]
    assert {c.step for c in kept} >= {0, 490}
    assert len(kept) <= 8 + 64


def test_a_long_completion_is_cut_keeping_its_end(fake_run, contents):
    line = contents["completion"](0, 0, right=True) | {"completion": "a" * 3_000_000 + "<answer>5</answer>"}
    (kept,) = read_run(fake_run(train=[line])).completions["train"]
    assert len(kept.text) < 6_200
    assert "characters are not shown" in kept.text
    assert kept.text.endswith("<answer>5</answer>")


def test_a_kill_at_any_moment_leaves_a_folder_that_can_be_read(fake_run):
    folder = fake_run(steps=3)
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path, content in whole.items():
        for length in range(0, len(content), max(1, len(content) // 23)):
            path.write_bytes(content[:length])
            assert read_run(folder).path == folder
        path.unlink()
        assert read_run(folder).path == folder
        path.write_bytes(content)
    assert json.loads(whole[folder / "metrics.json"]) == read_run(folder).summary
