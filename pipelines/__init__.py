"""How it runs: one module per DVC stage."""

import sys

from yulan.errors import told
from yulan.layout import find_root, require_clone_environment

# `python -m pipelines.clean`: looked at before the stage imports what another Python lacks.
if sys.argv[0] == "-m":
    with told():
        require_clone_environment(find_root())
