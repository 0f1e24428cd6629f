"""Studies: questions about training, with the outcome named before the first run and many seeds behind the answer."""
