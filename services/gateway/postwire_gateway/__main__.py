"""`python -m postwire_gateway`."""

from __future__ import annotations

import sys

from postwire_gateway.main import main

sys.exit(main())
