"""Draw the README's figure of speed from the files of measurements: `python benchmarks/chart.py`.

Bars of milliseconds a step of MusicGen-small in the middle of its context, ours beside transformers', one panel a
machine. Knows which rows of which files; measures nothing.
"""

import json
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure

HERE = Path(__file__).parent
FIGURE = HERE.parent / "docs" / "speed.svg"
AT = ("musicgen-small", "length 751")
PANELS = {  # title -> (file, {label: side})
    "two cores of an Intel Xeon": (
        "2026-11-26-steps-cpu.json",
        {
            "clavilux, int8": "clavilux int8",
            "clavilux, bfloat16": "clavilux bfloat16",
            "transformers, torch.compile": "transformers compiled",
            "transformers, eager": "transformers eager",
        },
    ),
    "NVIDIA H200": (
        "2026-11-26-gpu.json",
        {"clavilux, bfloat16": "+ sampler", "transformers, eager": "transformers eager"},
    ),
}


def milliseconds(file: str, sides: dict[str, str]) -> dict[str, float]:
    """The median of each label's side."""
    rows = json.loads((HERE / "results" / file).read_text())["results"]
    found = {row["side"]: 1e3 * row["median_s"] for row in rows if (row["subject"], row["at"]) == AT}
    return {label: found[side] for label, side in sides.items()}


def draw() -> Figure:
    """One panel a machine, one bar a side."""
    figure = Figure(figsize=(7.6, 2.7), layout="constrained")
    heights = [len(sides) for _, sides in PANELS.values()]
    panels = figure.subplots(len(PANELS), 1, height_ratios=heights)
    for axes, (title, (file, sides)) in zip(panels, PANELS.items(), strict=True):
        values = milliseconds(file, sides)
        colors = ["#1f77b4" if label.startswith("clavilux") else "#b0b7bf" for label in values]
        bars = axes.barh(list(values), list(values.values()), color=colors, height=0.7)
        axes.bar_label(bars, [f"{value:.3g}" for value in values.values()], padding=4, fontsize=9)
        axes.invert_yaxis()
        axes.set_title(f"{title}: ms a step", loc="left", fontsize=9, fontweight="bold")
        axes.tick_params(left=False, bottom=False, labelbottom=False, labelsize=9)
        axes.spines[:].set_visible(False)
        axes.margins(x=0.12)
    return figure


if __name__ == "__main__":
    # Text as paths: it looks alike everywhere. Without a date and with one salt the same file comes out each time.
    rcParams["svg.hashsalt"] = "clavilux"
    draw().savefig(FIGURE, metadata={"Date": None}, facecolor="white")
    print(FIGURE)
