"""residual + x @ weight.T + bias, the specification."""

from clavilux.kernels.weights import linear


def linear_residual(x, weight, bias, residual):
    # Not folded into the product (addmm): under autocast that would round the residual to bfloat16.
    return residual + linear(x, weight, bias)
