from clavilux.kernels.cross_step.api import cross_step
from clavilux.kernels.cross_step.memory import FoldedMemory, fold_memory, joined, most_keys

__all__ = ["FoldedMemory", "cross_step", "fold_memory", "joined", "most_keys"]
