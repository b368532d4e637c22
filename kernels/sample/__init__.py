from clavilux.kernels.sample.api import gumbel, sample, sample_step

__all__ = ["gumbel", "sample", "sample_step"]
