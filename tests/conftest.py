"""One thread for the whole suite: its tensors are tiny, and on a busy machine two threads wait for each other.

On two busy cores the suite took 207 s with two threads and 112 s with one. Subprocesses inherit it.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
