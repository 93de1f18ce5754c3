"""Damage and noise taken out of pictures: by a model made for it, or by the posterior of any VAE."""
