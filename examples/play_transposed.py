"""Play a MIDI file in another key: writes played.flac.

python examples/play_transposed.py tune.mid --semitones 2
"""

import argparse

from clavilux.audio.clip import Audio
from clavilux.audio.score import Score
from clavilux.audio.synth import render_score

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", help="a MIDI file")
parser.add_argument("--semitones", type=int, default=2)
options = parser.parse_args()

score = Score.from_midi(options.file).transposed(options.semitones)
samples = render_score(score, sample_rate=44100)  # float32 [2, N]
Audio(samples, 44100, score=score).save("played.flac")
print(f"wrote played.flac, {samples.shape[1] / 44100:.1f} s, {len(score.notes)} notes")
