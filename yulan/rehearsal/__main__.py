"""`python -m yulan.rehearsal ROOT [--port N]`: the hub without the rest of the command line."""

import argparse
import sys
from pathlib import Path

from yulan.errors import YulanError
from yulan.rehearsal.limits import Limits
from yulan.rehearsal.serve import serve

parser = argparse.ArgumentParser(prog="python -m yulan.rehearsal")
parser.add_argument("root", type=Path)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--silence", type=float, default=Limits().silence)
parser.add_argument("--api", type=int)
parser.add_argument("--resolvers", type=int)
parser.add_argument("--window", type=int, default=Limits().window)
arguments = parser.parse_args()
limits = Limits(**{name: getattr(arguments, name) for name in ("silence", "api", "resolvers", "window")})
try:
    serve(arguments.root, arguments.port, limits=limits)
except YulanError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
