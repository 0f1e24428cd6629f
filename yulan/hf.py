"""`import yulan.hf`: transformers' Auto classes then load unfolded YuLan-Mini weights (model type `yulanmini`)."""

from yulan.model.hf import register

register()
