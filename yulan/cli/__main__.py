"""`python -m yulan.cli`, where the script is not on the path."""

from yulan.cli import main

main(prog_name="yulan")
