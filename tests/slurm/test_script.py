"""The text that Slurm is given, and its words as they are read: no cluster needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from r1lab.config.compose import session
from r1lab.plan.request import plan_request
from r1lab.slurm.facts import seconds_of
from r1lab.slurm.script import header, ranges, script

MEMORY = "a number with K, M, G or T: cluster.memory=64G; 0 is all of a node"


@pytest.fixture
def cfg(monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """A resolved run that asks Slurm for everything there is."""
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    words = [
        "cluster=h100-8x",
        "cluster.account=lab",
        "cluster.qos=high",
        "cluster.constraint='nvlink&ib'",
        "cluster.time=2-00:00:00",
        "cluster.after=[12,'13_4']",
        "cluster.parallel=3",
        "cluster.options={mail-type: END}",
        "accelerator=ddp",
        "accelerator.nodes=2",
        "dry_run=true",
        "name=a/b",
    ]
    with session():
        return plan_request(words).plans[0].cfg


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 5400),
        ("90", 5400),
        ("1:30", 90),
        ("2:00:01", 7201),
        ("1-0", 86400),
        ("1-02:03", 93780),
        ("1-02:03:04", 93784),
        ("infinite", None),
        ("", None),
        ("1h", None),
        ("-5", None),
    ],
)
def test_time_limits_are_read_as_slurm_reads_them(written: str | int, seconds: int | None) -> None:
    assert seconds_of(written) == seconds


def test_indices_are_written_as_ranges() -> None:
    assert ranges([0]) == "0"
    assert ranges([3, 0, 1, 2, 7, 9, 10]) == "0-3,7,9-10"
    assert ranges(range(200)) == "0-199"


def test_the_header_says_what_the_config_says(cfg: DictConfig) -> None:
    lines = header(cfg, "/runs/%a/slurm.log")
    assert lines == [
        "#SBATCH --job-name=a-b",
        "#SBATCH --output=/runs/%a/slurm.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --partition=gpu-h100",
        "#SBATCH --account=lab",
        "#SBATCH --qos=high",
        "#SBATCH --constraint='nvlink&ib'",
        "#SBATCH --time=2-00:00:00",
        "#SBATCH --gpus-per-node=8",
        "#SBATCH --cpus-per-task=96",
        "#SBATCH --mem=0",
        "#SBATCH --exclusive",
        "#SBATCH --dependency=afterok:12:13_4",
        "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --mail-type=END",
    ]


def test_a_run_that_may_not_go_back_gets_no_warning(cfg: DictConfig) -> None:
    cfg.cluster.requeue = False
    lines = header(cfg, "x")
    assert "#SBATCH --no-requeue" in lines
    assert not [line for line in lines if "signal" in line]


def test_the_script_is_valid_and_starts_one_task_on_each_node(cfg: DictConfig, tmp_path: Path) -> None:
    cfg.cluster.setup = ["module load cuda/12.8", "export A='b c'"]
    cfg.cluster.container = "/images/my image.sqsh"
    cfg.cluster.mounts = ["/data:/data"]
    text = script(cfg, header(cfg, "x"), [0, 1, 2], "/runs/$SLURM_ARRAY_TASK_ID")
    file = tmp_path / "slurm.sh"
    file.write_text(text)
    assert subprocess.run(["bash", "-n", file], capture_output=True, text=True).stderr == ""
    assert "#SBATCH --array=0-2%3" in text.splitlines()
    shell = "\n".join(["srun() { printf '<%s>\\n' \"$@\"; }", "SLURM_ARRAY_TASK_ID=1", text])
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=tmp_path).stdout.splitlines()
    assert said[:4] == ["<--kill-on-bad-exit=1>", "<--ntasks=2>", "<--ntasks-per-node=1>", "<--cpus-per-task=96>"]
    assert "<--container-image=/images/my image.sqsh>" in said
    assert said[-1] == "</runs/1>"
    inner = said[-2].strip("<>")
    assert inner.startswith("set -e; module load cuda/12.8; export A='b c'; exec ")
    assert inner.endswith('-m r1lab.launch.slurm_node "$0"')


def test_options_that_r1lab_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from r1lab.errors import ConfigError

    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    words = ["cluster=slurm", "cluster.options={output: x, mail-type: END}", "dry_run=true", "cluster.memory=lots"]
    with session(), pytest.raises(ConfigError) as caught:
        plan_request(words)
    told = {finding.what: finding.fix for finding in caught.value.findings}
    assert told == {
        "cluster.options.output is set by r1lab": "leave it out; the run's folder says so",
        "cluster.memory=lots is no amount of memory": MEMORY,
    }


def test_an_array_task_is_not_read_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    with session():
        plan = plan_request(["cluster=slurm", "cluster.after=[12,13_4,'5_6']", "dry_run=true"]).plans[0]
    assert list(plan.cfg.cluster.after) == [12, "13_4", "5_6"]


def test_a_local_run_with_words_for_a_queue_is_refused() -> None:
    from r1lab.errors import ConfigError

    with session(), pytest.raises(ConfigError) as caught:
        plan_request(["cluster.partition=gpu"])
    (finding,) = caught.value.findings
    assert finding.what == "cluster.partition has no meaning in a run that starts on this machine"
    assert (finding.where, finding.fix) == ("override cluster.partition=gpu", "add cluster=slurm")


def test_the_example_clusters_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    with session():
        request = plan_request(["cluster=cpu", "dry_run=true"])
    assert request.launcher == "hydra_plugins.r1lab_slurm.SlurmLauncher"
    assert request.sweep is not None
    assert OmegaConf.to_container(request.plans[0].cfg.cluster)["kind"] == "slurm"
