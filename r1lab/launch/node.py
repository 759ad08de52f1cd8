"""One node of a run from a shell: `python -m r1lab.launch.node run.yaml --index 1 --addresses a,b --attempt WORD`.

What a scheduler starts once on each node. Without words for the node, this machine is the only one. Exits as
`python -m r1lab` does: 0, 1 (failed), 2 (refused) or 130 (interrupted), the cause on its standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from r1lab.errors import R1labError
from r1lab.launch import STOPPED
from r1lab.launch.supervisor import PORT, Node, supervise


def main() -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m r1lab.launch.node", description=__doc__.partition("\n")[0])
    parser.add_argument("run_yaml", type=Path, help="the resolved run, in the run's folder")
    parser.add_argument("--index", type=int, default=0, help="of this node, from 0")
    parser.add_argument("--addresses", default="127.0.0.1", help="of all nodes, in order, with commas between them")
    parser.add_argument("--rendezvous", type=int, default=PORT, help="a free port of the first node")
    parser.add_argument("--attempt", default="local", help="a word for this start of the run, the same on all nodes")
    words = parser.parse_args()
    addresses = tuple(words.addresses.split(","))
    node = Node(words.index, len(addresses), addresses, words.rendezvous, words.attempt)
    try:
        supervise(words.run_yaml, node)
    except R1labError as error:
        print(f"r1lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
