"""Scores as they are written: bars, voices and note values; MusicXML and ABC out and in; chord sheets and pictures.

Knows notation. Does not know sound, tokens or models.
"""
