"""The trees of a release's three repositories, laid out on disk."""
