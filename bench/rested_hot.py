"""The hot process of a Magstim whose coil is known to have rested: the product lets an unknown one rest for a minute after each start."""

import sys

from daemon.hot import main
from drivers.magstim_core import MagstimCore

if __name__ == "__main__":
    defaults: dict[str, object] = MagstimCore.__init__.__kwdefaults__ or {}
    defaults["spent_before_joules"] = 0.0
    sys.exit(main())
