"""Checkpoints: three safetensors sets with published names and full shapes, two JSON files, a manifest. No pickle, no layout."""
