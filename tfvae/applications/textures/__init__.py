"""Textures of any size, quilted in the latent space."""
