"""Measurements of pictures, and how far one picture lies from others in them. Numbers only: no files, no words on who
made what.
"""
