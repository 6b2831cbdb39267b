"""Entry point of ``python -m ade_engine``."""

import sys

from .cli import main

sys.exit(main())
