"""Train a published stretch again and say whether it is what it claims to be."""
