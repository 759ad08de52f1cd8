"""The attacks, as a user without rights; test_attacks.py starts it from a copy of the package such a user may read.

python -m tests.sandbox.unprivileged NAME …     # prints the attacks that were not withstood, as JSON
"""

from __future__ import annotations

import json
import os
import sys

from tests.sandbox.attack_programs import FINDERS, HOGS, STAYERS, TAMPERERS
from tests.sandbox.attacking import Ring, targets

IDLE = ("sleep", "stop-itself", "loop-in-many", "loop-without-signals", "fork-bomb-shell")  # the same for every user


def main() -> None:
    """Try the attacks of these names, all where none is named, but those that only wait."""
    assert os.geteuid() != 0
    names = sys.argv[1:]
    faults = {}
    with targets() as aims:
        ring = Ring("auto", aims)
        for attack in (*HOGS, *STAYERS, *FINDERS, *TAMPERERS):
            if attack.name in IDLE or (names and attack.name not in names):
                continue
            try:
                ring.withstand(attack)
            except AssertionError as error:
                faults[attack.name] = str(error)
                ring.close()
                ring = Ring("auto", aims)
        ring.close()
    print(json.dumps(faults))


if __name__ == "__main__":
    main()
