"""Where a model of pictures was sure and where it was surprised: writes picture.png and thoughts.png.

python examples/what_it_thought.py "green frog"
"""

import argparse

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("prompt")
parser.add_argument("--model", default="lumia", help="lumia, a folder, a file or a hub id")
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()

model = clavilux.load(options.model)
picture = model.generate(options.prompt, seed=options.seed)
picture.save("picture.png")
maps = model.explain(picture)  # bits, a value for each place of the token grid
maps.save("thoughts.png")
row, column = divmod(int(maps.surprise.argmax()), maps.surprise.shape[1])
print(f"entropy {maps.entropy.mean():.2f} bits a place, most surprising in row {row}, column {column}")
print("wrote picture.png and thoughts.png")
