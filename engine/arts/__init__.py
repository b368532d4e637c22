"""The picture arts as verbs: arguments checked, seeds, receipts. What they do is in `clavilux.image.arts`."""
