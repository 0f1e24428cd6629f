"""From pinned packages to token shards: what the model reads, where it came from, and in which order."""
