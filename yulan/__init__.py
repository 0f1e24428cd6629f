"""Releases that are provably what they say: rebuild, continue, publish and audit a language model."""

__version__ = "0.1.0"
