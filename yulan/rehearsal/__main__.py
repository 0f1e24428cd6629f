"""`python -m yulan.rehearsal ROOT [--port N]`: the hub without the rest of the command line."""

import argparse
import sys
from pathlib import Path

from yulan.errors import YulanError
from yulan.rehearsal.serve import serve

parser = argparse.ArgumentParser(prog="python -m yulan.rehearsal")
parser.add_argument("root", type=Path)
parser.add_argument("--port", type=int, default=0)
arguments = parser.parse_args()
try:
    serve(arguments.root, arguments.port)
except YulanError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
