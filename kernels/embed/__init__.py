from clavilux.kernels.embed.api import embed

__all__ = ["embed"]
