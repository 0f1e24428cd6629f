"""What a repository on a hub says of itself, ours or not, and whether that can be true; mostly without downloading it."""
