"""Draws, codes and ways through the latent space."""
