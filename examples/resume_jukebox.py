"""Stop a Jukebox job in the middle and take it up again: the song is the same to the last bit.

    python examples/resume_jukebox.py jukebox/ --seconds 20

The checkpoint is the folder of the original files, or of transformers'. Writes resumed.wav and the folder song.job.
"""

import argparse

import clavilux


class Stopped(Exception):
    """What a power cut, Ctrl-C or a job scheduler would do."""


def stop_half_way(done: float, total: float) -> None:
    if done >= total / 2:
        raise Stopped


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("checkpoint", help="a folder")
parser.add_argument("--seconds", type=float, default=20)
parser.add_argument("--seed", type=int, default=5)
options = parser.parse_args()

model = clavilux.load(options.checkpoint)
try:
    model.generate(seconds=options.seconds, seed=options.seed, job="song.job", progress=stop_half_way)
except Stopped:
    print("stopped half way; every token so far is in song.job")
[song] = model.resume("song.job")  # a list: a job may hold a batch
song.save("resumed.wav")
print(f"wrote resumed.wav, {song.duration_s:.1f} s")
