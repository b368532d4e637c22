from clavilux.kernels.linear_residual.api import linear_residual

__all__ = ["linear_residual"]
