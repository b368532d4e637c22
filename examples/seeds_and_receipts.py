"""A seed makes the same song alone and in a batch, and from its file's receipt: writes song-1.flac to song-3.flac.

python examples/seeds_and_receipts.py "slow church organ chorale in G minor"
"""

import argparse
import json

import torch

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("prompt")
parser.add_argument("--seconds", type=float, default=10)
options = parser.parse_args()

model = clavilux.load("aria")
songs = model.generate(options.prompt, seconds=options.seconds, seed=[1, 2, 3], batch=3)
alone = model.generate(options.prompt, seconds=options.seconds, seed=2)
print("seed 2 is the same song alone and in the batch:", torch.equal(alone.tokens, songs[1].tokens))
for number, song in enumerate(songs, 1):
    song.save(f"song-{number}.flac")

receipt = clavilux.Audio.load("song-3.flac").receipt  # it travels in the file's comment tag
print(json.dumps(receipt, indent=1)[:400], "...")
marked = receipt.get("mark", "none") != "none"  # one that says nothing is from before there were marks
again = model.generate(receipt["prompt"], seconds=receipt["seconds"], seed=receipt["seed"], mark=marked)
print("song-3.flac made again from its receipt:", torch.equal(again.tokens, songs[2].tokens))
print("wrote song-1.flac, song-2.flac and song-3.flac")
