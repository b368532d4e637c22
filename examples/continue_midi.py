"""Carry on from a MIDI or sound file, in its key, metre and tempo: writes continued.flac and continued.mid.

python examples/continue_midi.py tune.mid --seconds 40
"""

import argparse

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="a MIDI file, or a recording")
parser.add_argument("--seconds", type=float, default=40, help="of the whole, the file's own included")
parser.add_argument("--seed", type=int, default=2)
options = parser.parse_args()

song = clavilux.load("aria").generate("", seconds=options.seconds, seed=options.seed, continue_from=options.file)
song.save("continued.flac")
song.save("continued.mid")
for note in song.receipt["notes"]:
    print(note)
print(f"wrote continued.flac and continued.mid, {song.duration_s:.1f} s")
