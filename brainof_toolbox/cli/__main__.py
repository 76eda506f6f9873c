"""``python -m brainof_toolbox.cli`` runs the command ``brainof``."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
