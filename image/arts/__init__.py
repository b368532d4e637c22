"""Instruments on pictures: features, dream, style. Functions on tensors and pictures, without receipts."""

INSTALL = 'pip install "clavilux[arts]"'  # what an error names where weights are missing
