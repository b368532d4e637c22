"""Generators with a latent space: networks and their losses, functions on tensors. Knows no run and no folder."""
