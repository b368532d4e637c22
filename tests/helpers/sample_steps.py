"""One call of `sample_step` with buffers of its own."""

import torch

from clavilux.kernels.sample import sample_step

OPEN = -1


def step_of(
    logits, *, step=0, plan=None, failed=None, seeds=None, rows=None, weights=(1.0,), backend="triton", **words
):
    """One call of sample_step, its buffers made here: (plan, out, failed)."""
    weights = weights if isinstance(weights, torch.Tensor) else torch.tensor([weights])
    batch = len(logits) // weights.shape[1]
    codebooks = logits.shape[1]
    plan = torch.full((batch, codebooks, step + 1), OPEN) if plan is None else plan.clone()
    out = torch.full((batch, codebooks), -7)
    failed = torch.full((batch,), -1, dtype=torch.int32) if failed is None else failed.clone()
    seeds = torch.arange(batch) if seeds is None else seeds
    rows = torch.zeros(batch, dtype=torch.int64) if rows is None else rows
    sample_step(
        logits, plan, out, failed, torch.tensor([step], dtype=torch.int32),
        seeds=seeds, rows=rows, weights=weights, backend=backend, **words,
    )  # fmt: skip
    return plan, out, failed
