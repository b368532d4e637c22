"""Lessons: a song or a picture explained, with sounds, pictures and exercises."""
