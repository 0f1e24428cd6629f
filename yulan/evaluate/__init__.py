"""What a trained phase knows: bits per byte of held-out text, benchmark accuracies, a few generations."""
