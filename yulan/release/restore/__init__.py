"""A clone put into the state of a release: commit, dvc.lock, manifests, records, every output that the release holds whole."""
