"""Where the checkout is: tests of the wheel run on a copy of this folder, far from the sources they speak of."""

import os
from pathlib import Path

ROOT = Path(os.environ.get("ROUNDHOUSE_CHECKOUT", Path(__file__).parents[1]))
"""Root of the checkout: README, documentation, tools, sources."""
TESTS_WHEEL = "ROUNDHOUSE_TEST_WHEEL" in os.environ
"""Whether this run must see the installed wheel and not the checkout's packages."""
