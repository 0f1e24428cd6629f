"""`yulan lineage X`."""

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("what", metavar="X")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a tree.")
def lineage(what: str, as_json: bool) -> None:
    """Say what X was made from, back to the raw sources, and what was made from it.

    X: a file or folder (of this clone, or one that was pulled), an artifact (train@phase-02), a checkpoint
    (phase-02/step-000260), a revision (hf://OWNER/NAME@REVISION), an MLflow run, a git commit, or a digest.
    A broken link gives exit code 5.
    """
    from yulan.errors import StateError
    from yulan.layout import MANIFEST
    from yulan.params import layout_here
    from yulan.release.lineage.clone import of_clone
    from yulan.release.lineage.find import find
    from yulan.release.lineage.pulled import of_pulled
    from yulan.release.lineage.told import as_object, as_tree
    from yulan.schema import plain

    folder = Path(what)
    try:
        layout = layout_here()
        graph = of_clone(layout)
        nodes = find(graph, layout, what)
    except StateError:
        # A pulled folder tells its own, in a clone or outside of one.
        if not (folder / MANIFEST).is_file():
            raise
        graph, key = of_pulled(folder)
        nodes = [graph.nodes[key]]
    if as_json:
        click.echo(json.dumps(plain(as_object(graph, what, nodes)), indent=1))
    else:
        for line in as_tree(graph, nodes):
            click.echo(line)
    sys.exit(5 if graph.broken else 0)
