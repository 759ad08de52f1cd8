"""How long a word takes to be refused: r1lab's command line beside `trl grpo --help`, whole processes, in turn."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import Cost, cost, keep, median

R1LAB = [sys.executable, "-m", "r1lab"]
COMMANDS = {
    "trl grpo --help": ([str(Path(sys.executable).parent / "trl"), "grpo", "--help"], 0),
    "r1lab --cfg job": ([*R1LAB, "--cfg", "job"], 0),
    "r1lab --help": ([*R1LAB, "--help"], 0),
    "r1lab with a typo": ([*R1LAB, "trainer.lerning_rate=1e-4"], 2),
}
ROUNDS = 7


def main() -> None:
    """Time every command in turn, after one round to warm up."""
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for round_number in range(ROUNDS + 1):
        for name, (command, code) in COMMANDS.items():
            measured = cost(command, code)
            if round_number:
                costs[name].append(measured)
    medians = {name: median(items) for name, items in costs.items()}
    peer = medians["trl grpo --help"]["cpu_s"]
    for item in medians.values():
        item["cpu_ratio"] = round(item["cpu_s"] / peer, 3)
    keep("command_line", {"rounds": ROUNDS, "median": medians})


if __name__ == "__main__":
    main()
