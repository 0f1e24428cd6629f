"""The trainer: one page of loop, its engine, checkpoints without pickle or layout, logs, tracking and launch."""
