"""A local hub that stock Hugging Face clients take for the real one: a place to rehearse a release in."""

from yulan.rehearsal.process import Hub, running_hub

__all__ = ["Hub", "running_hub"]
