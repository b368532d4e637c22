"""What chords do in a key, and where phrases close: harmony as it is taught."""
