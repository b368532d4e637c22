"""A waltz on chords of your own, at an exact tempo: writes waltz.flac and waltz.mid.

python examples/exact_chords.py --chords "Am Dm E7 Am" --tempo 150
"""

import argparse

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--chords", default="Am Dm E7 Am", help="a chord a bar, repeated to the end")
parser.add_argument("--tempo", type=float, default=150, help="quarter notes a minute")
parser.add_argument("--seconds", type=float, default=20)
parser.add_argument("--seed", type=int, default=7)
options = parser.parse_args()

model = clavilux.load("aria")
song = model.generate(
    "waltz for piano", seconds=options.seconds, seed=options.seed, chords=options.chords, tempo=options.tempo
)
song.save("waltz.flac")
song.save("waltz.mid")

# The grammar of score tokens holds tempo and chords, so the score states exactly what was asked for.
print(f"{len(song.score.notes)} notes, {song.duration_s:.1f} s, tempo {options.tempo:g}")
print("wrote waltz.flac and waltz.mid")
