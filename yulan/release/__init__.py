"""From checkpoints to a release that others can verify, and back."""
