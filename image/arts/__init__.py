"""Instruments on pictures: features, dream, style. Functions on tensors and pictures, without receipts."""
