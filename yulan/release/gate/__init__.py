"""The gate: rules that a bundle must pass before anyone may publish it. Each rule is one function."""
