from clavilux.kernels.sample.api import NOISE_AHEAD, gumbel, sample, sample_step
from clavilux.kernels.sample.reference import kind_of

__all__ = ["NOISE_AHEAD", "gumbel", "kind_of", "sample", "sample_step"]
