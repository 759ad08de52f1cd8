"""`python -m tests.slurm.cluster`: a cluster to try things on."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import lacking

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(180)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_to_enter_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    if reason := lacking():
        pytest.skip(reason)
    command = [sys.executable, "-m", "tests.slurm.cluster", "--nodes=3", "--gpus=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        assert started.stdout is not None
        lines = [started.stdout.readline() for _ in range(5)]
        enter = next((line for line in lines if line.startswith("    nsenter ")), "")
        try:
            words = shlex.split(enter)
            assert words and "3 nodes are up" in lines[0], lines
            assert words[-1] == "bash"
            told = subprocess.run(
                words, input="hostname; pwd; sinfo -hN -p batch -o '%N %G'", capture_output=True, text=True
            )
            assert told.stdout.split("\n") == ["ctl", str(Path.cwd()), *(f"n{n} gpu:2" for n in range(3)), ""], told
            made = Path(f"/proc/{words[words.index('-t') + 1]}/cmdline").read_text().split("\0")
            (folder,) = (Path(word) for word in made if "/slurm-" in word)
        finally:
            started.send_signal(number)
        assert started.wait(30) == 0
    assert subprocess.run(words, capture_output=True, input="", text=True).returncode != 0
    assert not folder.exists() and not folder.parent.exists()
