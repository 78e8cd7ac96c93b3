"""How fast texts become labels, beside the peers in the same run: the short form of
``monitor bench``, whose options it takes.

    python tests/benchmarks/scoring.py [--json bench.json] [--plot bench.png]
"""

from __future__ import annotations

import sys

from monitor.bench.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "--quick")
    main()
