"""What holds for the whole suite: one thread, and Triton's kernels in Python where there is no GPU.

Its tensors are tiny, and on a busy machine two threads wait for each other: on two busy cores the suite took 207 s
with two threads and 112 s with one. Subprocesses inherit both. Triton reads its setting when a kernel is defined.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
