"""MusicGen, as transformers and as audiocraft write it."""
