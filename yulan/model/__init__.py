"""The YuLan-Mini decoder: its parameters, forward pass, start values, and its release as plain Llama."""
