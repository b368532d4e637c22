"""The one error of our own; bad arguments are ValueError and TypeError."""


class CheckpointError(ValueError):
    """A file of weights is missing, damaged, or not what its config says."""
