"""How it runs: one module per DVC stage."""
