"""`python -m covey` is `covey`."""

from __future__ import annotations

import sys

from covey.cli import main

sys.exit(main())
