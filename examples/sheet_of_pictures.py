"""The same words with many seeds, on one sheet: writes sheet.png, and one picture with its receipt.

python examples/sheet_of_pictures.py "red apple" --count 16
"""

import argparse

import clavilux
from clavilux.image.sheet import contact_sheet

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("prompt")
parser.add_argument("--count", type=int, default=16)
parser.add_argument("--model", default="lumia", help="lumia, a folder, a file or a hub id")
options = parser.parse_args()

model = clavilux.load(options.model)
seeds = list(range(1, options.count + 1))
pictures = model.generate([options.prompt] * options.count, seed=seeds)  # side by side, each as it would be alone
contact_sheet(pictures).save("sheet.png")
pictures[0].save("first.png")
print(f"first.png can be made again from its receipt: seed {pictures[0].receipt['seed']}")
print(f"wrote sheet.png of {options.count} pictures, and first.png")
