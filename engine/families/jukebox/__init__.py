"""OpenAI's Jukebox: three levels of priors over a VQ-VAE, rendered as jobs that can be resumed."""
