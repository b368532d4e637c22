"""The pictures that the bundled VAE and GAN learn from: those of the bundled painter, as files in folders by kind.

    python -m clavilux.training.latents PACKAGES OUT

writes OUT/taught and OUT/held-out, for `clavilux train vae OUT/taught --held-out OUT/held-out`. PACKAGES holds the
unpacked Debian packages that `pictures` names. Pictures that are variants of each other are on one side. Knows files;
what a picture is called and shows is `pictures`'s, where it lies in its square `augment`'s.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from clavilux.files import new_folder
from clavilux.training import augment, pictures
from clavilux.training.pictures import Named

SIDES = {False: "taught", True: "held-out"}


def write(named: Iterable[Named], out: Path) -> Counter[str]:
    """Write each picture as it is, 64 x 64 on white, into a new folder; how many there are of each side.

    Args:
        named: pictures.
        out: SIDE/KIND/NUMBER-WORDS.png.

    Raises:
        ValueError: `out` is there already.
    """
    counts = Counter[str]()
    with new_folder(out) as place:
        for number, each in enumerate(named):
            side = SIDES[each.held_out]
            folder = place / side / each.kind
            folder.mkdir(parents=True, exist_ok=True)
            name = "-".join([f"{number:05}", each.source.replace(" ", "-"), *each.words[:4]])
            Image.fromarray(augment.on_white(augment.place(each.image))).save(folder / f"{name}.png")
            counts[side] += 1
    return counts


def main() -> None:
    """Write them, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("out", type=Path, help="a new folder")
    args = parser.parse_args()
    counts = write(pictures.pictures(args.source), args.out)
    print(", ".join(f"{count:,} {side}" for side, count in sorted(counts.items(), reverse=True)))


if __name__ == "__main__":
    main()
