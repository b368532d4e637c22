"""Stream a MusicGen, your own fine-tune among them: writes streamed.wav piece by piece, while it is made.

    python examples/stream_musicgen.py facebook/musicgen-small "warm analog synth arpeggio"

The checkpoint is a folder in transformers' or audiocraft's layout, or a hub id. Needs `pip install 'clavilux[text]'`.
"""

import argparse
import time

import soundfile

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("checkpoint", help="a folder or a hub id")
parser.add_argument("prompt")
parser.add_argument("--seconds", type=float, default=10)
parser.add_argument("--seed", type=int, default=3)
options = parser.parse_args()

model = clavilux.load(options.checkpoint)
print(model)
started, file = time.perf_counter(), None
for piece in model.stream(options.prompt, seconds=options.seconds, seed=options.seed):
    if file is None:
        print(f"first sound after {time.perf_counter() - started:.2f} s")
        file = soundfile.SoundFile("streamed.wav", "w", piece.sample_rate, len(piece.samples))
    file.write(piece.samples.T.numpy())  # float32 [samples, channels]; a player could take it as well
file.close()
print(f"wrote streamed.wav after {time.perf_counter() - started:.2f} s")
