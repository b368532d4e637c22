from clavilux.kernels.sample.api import LARGEST_MARKED, NOISE_AHEAD, gumbel, sample, sample_step
from clavilux.kernels.sample.reference import kind_of

__all__ = ["LARGEST_MARKED", "NOISE_AHEAD", "gumbel", "kind_of", "sample", "sample_step"]
