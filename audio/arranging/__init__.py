"""A band that plays a lead sheet: styles as readable files, chords by numerals, voices led by rule."""
