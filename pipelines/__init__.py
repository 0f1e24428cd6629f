"""How it runs: one module per DVC stage."""

import sys

from yulan.errors import YulanError, render
from yulan.layout import find_root, require_clone_environment

# `python -m pipelines.clean`: looked at before the stage imports what another Python lacks.
if sys.argv[0] == "-m":
    try:
        require_clone_environment(find_root())
    except YulanError as error:
        print(render(error), file=sys.stderr)
        sys.exit(error.exit_code)
