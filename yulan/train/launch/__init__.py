"""Start training processes and see that none outlives its parent."""
