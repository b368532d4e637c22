from clavilux.kernels.sample.api import gumbel, sample

__all__ = ["gumbel", "sample"]
