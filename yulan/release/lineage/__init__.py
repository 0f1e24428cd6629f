"""Where each thing of a clone or a release is from, and what was made of it."""
