"""How far counts lie from what is expected of them."""

import math


def chi_squared(counts, probabilities):
    """The statistic, in standard deviations from its mean (df, variance 2 df)."""
    kept = probabilities > 0
    assert counts[~kept].sum() == 0
    expected = probabilities[kept] * counts.sum()
    df = int(kept.sum()) - 1
    return (float(((counts[kept] - expected) ** 2 / expected).sum()) - df) / math.sqrt(2 * df)
