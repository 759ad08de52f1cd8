"""A sweep's page and table."""

import json

import pytest
from rich.console import Console

from r1lab.errors import ReportError
from r1lab.report.parallel import parallel
from r1lab.report.sweep import best_of, read_sweep, record_of, said_of, sweep_table, write_sweep


@pytest.fixture
def sweep(fake_run, contents, tmp_path):
    """Five runs over the learning rate: 1 is the best; 2 failed, 3 was killed, 4 left nothing."""
    for number, (rate, accuracy) in enumerate([(1e-6, 0.5), (1e-4, 0.9)]):
        summary = {
            "objective": "eval/accuracy",
            "eval/accuracy": accuracy,
            "eval/accuracy_low": accuracy - 0.03,
            "eval/accuracy_high": accuracy + 0.03,
            "eval/format": 0.99,
            "eval/loss": accuracy,
        }
        fake_run(f"sweep/{number}", learning_rate=rate, summary=summary, steps=20)
    failed = contents["manifest"] | {"status": "failed", "cause": "loss became NaN"}
    fake_run("sweep/2", learning_rate=1e-2, summary=None, manifest=failed, steps=20, metrics=contents["lines"][:1])
    running = contents["manifest"] | {"status": "running", "ended": None}
    fake_run("sweep/3", learning_rate=1e-3, summary=None, manifest=running, steps=20, metrics=contents["lines"][:80])
    (tmp_path / "sweep/4").mkdir()
    (tmp_path / "sweep/.submitit").mkdir()
    (tmp_path / "sweep/1/report.html").touch()
    return tmp_path / "sweep"


def test_the_best_run_comes_first_and_the_broken_ones_last(sweep):
    rows = read_sweep(sweep)
    assert [row.name for row in rows] == ["1", "0", "3", "4", "2"]
    assert [row.status for row in rows] == ["finished", "finished", "interrupted", "waiting", "failed"]
    assert rows[0].objective.value == 0.9 and rows[0].metrics["eval/format"] == 0.99
    assert rows[4].cause == "loss became NaN"


def test_only_what_differs_is_a_column(sweep):
    assert [row.settings for row in read_sweep(sweep)] == [
        {"trainer.learning_rate": value} for value in (1e-4, 1e-6, 1e-3, "–", 1e-2)
    ]


def test_a_group_stands_for_the_keys_its_option_brings(fake_run, tmp_path):
    options = [("tiny", 4, "{accuracy: {weight: 1}}"), ("qwen", 28, "{accuracy: {weight: 1}, format: {weight: 2}}")]
    for number, (name, layers, rewards) in enumerate(options * 2):
        seed = number // 2
        config = f"name: grpo-{name}\nseed: {seed}\nreward: {rewards}\nout: /runs/{number}/model\ncontext: {layers}\n"
        model = f"model: {{name: {name}, layers: {layers}, build: {{seed: {seed}}}}}\n"
        fake_run(f"s/{number}", config=config + model, steps=2)
    settings = {row.name: row.settings for row in read_sweep(tmp_path / "s")}
    assert settings["0"] == {"model": "tiny", "reward": "accuracy", "seed": 0.0}
    assert settings["3"] == {"model": "qwen", "reward": "accuracy, format", "seed": 1.0}


def test_losses_are_sorted_downwards_and_an_unknown_objective_is_refused(sweep):
    assert [row.name for row in read_sweep(sweep, "eval/loss")][:2] == ["0", "1"]
    rows = read_sweep(sweep, "eval/length")
    assert rows[0].key == "eval/length" and rows[0].objective.value == 50.2
    with pytest.raises(ReportError, match=r"metric eval/acuracy\. The nearest is eval/accuracy\."):
        read_sweep(sweep, "eval/acuracy")


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(ReportError, match="holds no runs"):
        read_sweep(tmp_path)
    with pytest.raises(ReportError, match="can be read"):
        write_sweep(tmp_path / "gone")


def test_the_table_for_the_terminal(sweep):
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(sweep_table(read_sweep(sweep)))
    header, _, best, *_, failed = [line for line in capture.get().splitlines() if line.strip()]
    assert [part.strip() for part in header.split("┃")] == [
        "run",
        "learning_rate",
        "eval/accuracy",
        "eval/format",
        "eval/loss",
        "time",
        "status",
    ]
    assert [part.strip() for part in best.split("│")][:4] == ["1", "0.0001", "90.0\xa0%", "0.99"]
    assert failed.split("│")[-1].strip() == "failed: loss became NaN"


def test_the_page_shows_the_table_the_best_run_and_links(sweep, text_of, tags_of):
    page = write_sweep(sweep)
    assert page == sweep / "sweep.html"
    text = text_of(page)
    assert (
        text_of(page, "best") == "The best run is 1 90.0 % 95 % interval 87.0 % to 93.0 % trainer.learning_rate=0.0001"
    )
    assert "1 finished 0.0001 90.0 % 0.99" in text
    assert "2 failed loss became NaN 0.01 –" in text
    assert "eval/accuracy against trainer.learning_rate" in text
    links = [attributes["href"] for tag, attributes in tags_of(page) if tag == "a"]
    assert links == ["./1/report.html"]  # the others have no page
    assert "script-src 'sha256-" in page.read_text()


def test_equal_runs_are_said_to_be(sweep, text_of):
    rows = read_sweep(sweep)
    assert said_of(best_of(rows), rows) == "run 1: eval/accuracy 90.0\u00a0%  trainer.learning_rate=0.0001"
    for name in ("0", "1"):
        summary = json.loads((sweep / name / "metrics.json").read_text())
        (sweep / name / "metrics.json").write_text(json.dumps(summary | {"eval/accuracy": 0.5}))
    rows = read_sweep(sweep)
    assert said_of(best_of(rows), rows) == "2 runs are equal: eval/accuracy 50.0\u00a0%  (runs 0, 1)"
    assert record_of(best_of(rows), rows)["equal"] == ["0", "1"]
    assert text_of(write_sweep(sweep), "best").startswith("Runs 0 and 1 are equal; shown is 0 ")


def test_a_direction_turns_the_order(sweep):
    assert [row.name for row in read_sweep(sweep, direction="minimize")][:2] == ["0", "1"]
    assert record_of(best_of(found := read_sweep(sweep, "eval/loss", "maximize")), found) == {
        "run": "1",
        "metric": "eval/loss",
        "direction": "maximize",
        "value": 0.9,
        "settings": {"trainer.learning_rate": 1e-4},
    }
    with pytest.raises(ReportError, match="upwards is no direction: maximize or minimize"):
        read_sweep(sweep, direction="upwards")


def test_all_runs_at_once_stand_where_their_values_are():
    runs = [
        ("3", {"trainer.learning_rate": 1e-4, "model": "tiny", "same": 1.0}, 0.9),
        ("1", {"trainer.learning_rate": 1e-2, "model": "qwen", "same": 1.0}, 0.5),
        ("2", {"trainer.learning_rate": 1e-3, "model": "tiny", "same": 1.0}, 0.1),
        ("0", {"trainer.learning_rate": 1e-3, "model": "tiny", "same": 1.0}, None),
    ]
    figure = parallel(runs, "eval/accuracy", lower=False)
    assert [axis.title for axis in figure.axes] == ["learning_rate", "model", "eval/accuracy"]
    assert figure.left_out == 1
    places = {thread.run: thread.ys for thread in figure.threads}
    low, high = 300.0, 44.0  # the axes' ends; 1e-3 is half way in the logarithm, 0.5 half way as it is
    assert places == {"3": [low, high, high], "1": [high, low, 172.0], "2": [172.0, high, low]}
    assert [thread.run for thread in figure.threads] == ["2", "1", "3"]  # the best on top
    turned = parallel(runs[:3][::-1], "eval/loss", lower=True)
    assert {thread.run: thread.ys[-1] for thread in turned.threads} == {"3": low, "1": 172.0, "2": high}
    assert parallel(runs[:1], "eval/accuracy", lower=False) is None


def test_a_smaller_batch_is_told_and_is_nothing_that_was_varied(fake_run, contents, tmp_path, text_of):
    for number, (size, steps) in enumerate([(32, 1), (8, 4)]):
        config = (
            f"seed: {number}\ntrainer: {{per_device_train_batch_size: {size}, gradient_accumulation_steps: {steps}}}\n"
        )
        tried = [
            {"kind": "memory", "per_device_train_batch_size": n, "gradient_accumulation_steps": 32 // n}
            for n in (32, 16)
        ]
        fake_run(f"s/{number}", config=config, manifest=contents["manifest"] | {"tries": tried * number}, steps=2)
    assert [row.settings for row in read_sweep(tmp_path / "s")] == [{"seed": 0.0}, {"seed": 1.0}]
    told = "tried before: memory ran out at 32 × 1; memory ran out at 16 × 2; now 8 × 4"
    assert told in text_of(write_sweep(tmp_path / "s"))


def test_a_sweep_of_failures_has_a_page(fake_run, contents, tmp_path, text_of):
    for number in range(2):
        failed = contents["manifest"] | {"status": "failed", "cause": "<b>no disk</b>\0"}
        fake_run(f"s/{number}", manifest=failed, summary=None, metrics=None, config=f"seed: {number}\n")
    page = write_sweep(tmp_path / "s")
    assert "No run finished with a value of eval/accuracy." in text_of(page)
    assert "<b>no disk</b>␀" in text_of(page)
