"""How the benchmark's numbers look: a table, a roofline picture, a JSON file.

Knows the fields of a report; measures nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PICTURES = (".png", ".svg", ".pdf")
COLUMNS = ("what", "side", "time", "IQR", "moved", "rate", "of the ceiling", "times as fast as")


def heading(report: dict[str, Any]) -> str:
    """One line on the machine."""
    facts = report["machine"]
    parts = [facts["device"], f"{facts['threads']} threads", f"torch {facts['torch']}"]
    for name in ("driver", "triton", "transformers"):
        if facts.get(name):
            parts.append(f"{name} {facts[name]}")
    parts += [f"commit {facts['commit'] or 'unknown'}", facts["date"]]
    return ", ".join(parts)


def ceiling_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each ceiling, with the spread of its samples."""
    rows = []
    for name, found in report["ceilings"].items():
        spread = max(found["samples_s"]) / min(found["samples_s"])
        value = duration(found["median"]) if found["unit"] == "s" else _rate(found["median"], found["unit"])
        rows.append((name.replace("_", " "), f"{value}, slowest sample {spread:.2f} times the fastest"))
    return rows


def result_rows(report: dict[str, Any], suite: str) -> list[tuple[str, ...]]:
    """The table of one suite, by `COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    previous = None
    for row in report["results"]:
        if row["suite"] != suite:
            continue
        what = f"{row['subject']}, {row['at']}"
        peers = _compared(row, report)
        rows.append((
            "" if what == previous else what,
            row["side"],
            duration(row["median_s"]),
            duration(row["iqr_s"]),
            f"{row['bytes'] / 1e6:.3g} MB" if row.get("bytes") else "",
            _rate(row["bytes_per_s"], "bytes/s") if row.get("bytes") else "",
            f"{row['share']:.0%}" if row.get("share") else "",
            f"real time: {row['real_time_factor']:.3g}" if row.get("real_time_factor") and not peers else peers,
        ))  # fmt: skip
        previous = what
    return rows


def suites(report: dict[str, Any]) -> list[str]:
    """The suites that a report has rows of, in its order."""
    return list(dict.fromkeys(row["suite"] for row in report["results"]))


def show(report: dict[str, Any]) -> None:
    """Print the report as tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:  # a file has no edge to wrap at
        console = Console(highlight=False, width=200)
    console.print(Text(heading(report)), soft_wrap=True)
    for name, value in ceiling_rows(report):
        console.print(Text.assemble((f"{name}: ", "dim"), value), soft_wrap=True)
    for suite in suites(report):
        table = Table(box=None, pad_edge=False, title=suite, title_justify="left")
        for index, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if 2 <= index <= 6 else "left")
        for row in result_rows(report, suite):
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
    for note in report["notes"]:
        console.print(Text.assemble(("note: ", "dim"), note), soft_wrap=True)


def plain(report: dict[str, Any]) -> str:
    """The same as text with tabs, where rich is not installed."""
    lines = [heading(report), *("\t".join(row) for row in ceiling_rows(report))]
    for suite in suites(report):
        lines += ["", suite, "\t".join(COLUMNS), *("\t".join(row) for row in result_rows(report, suite))]
    return "\n".join([*lines, *(f"note: {note}" for note in report["notes"])])


def plot(report: dict[str, Any], path: Path) -> None:
    """The roofline: what each row computes a second, over what it computes a byte, under what the machine can do."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = [row for row in report["results"] if row.get("bytes") and row.get("flops")]
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    bandwidth, peak = report["settings"]["bandwidth_of_shares"], report["ceilings"]["gemm_bfloat16"]["median"]
    peak = max(peak, report["ceilings"]["gemm_float32"]["median"])
    intensities = [row["flops"] / row["bytes"] for row in points] or [1.0]
    low, high = min(*intensities, 0.25) / 2, max(*intensities, peak / bandwidth) * 4
    axes.plot([low, peak / bandwidth, high], [low * bandwidth / 1e9, peak / 1e9, peak / 1e9], color="black",
              linewidth=1, label=f"{_rate(bandwidth, 'bytes/s')}, {_rate(peak, 'flops/s')}")  # fmt: skip
    for side in dict.fromkeys(row["side"] for row in points):
        own = [row for row in points if row["side"] == side]
        x = [row["flops"] / row["bytes"] for row in own]
        axes.scatter(x, [row["flops"] / row["median_s"] / 1e9 for row in own], s=18, alpha=0.7, label=side)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="10⁹ operations a second")
    axes.set_title(f"{report['machine']['device']}, {report['machine']['date'][:10]}")
    axes.grid(True, which="both", linewidth=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def duration(seconds: float) -> str:
    """Three digits with a unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _rate(value: float, unit: str) -> str:
    name = {"bytes/s": "GB/s", "flops/s": "Gflop/s"}[unit]
    return f"{value / 1e9:.3g} {name}"


def _compared(row: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Against each peer; where there is none, against the first side that ran beside it; of a node, what it costs."""
    if row.get("peer"):
        return ""
    if row["suite"] == "budget":
        if "in_step_s" not in row:
            return f"{row['nodes']} nodes"
        in_step = f"{1e6 * row['in_step_s']:.2f} µs each, {row['share_of_step']:.0%} of it"
        return f"{row['nodes']} of them; in the step {in_step}"
    beside = [
        other
        for other in report["results"]
        if (other["suite"], other["subject"], other["at"]) == (row["suite"], row["subject"], row["at"])
    ]
    peers = [other["side"] for other in beside if other.get("peer")] or [beside[0]["side"]]
    ratios = row["times_as_fast_as"]
    if row["suite"] == "end-to-end" and not any(other.get("peer") for other in beside):
        return ""
    return ", ".join(f"{ratios[name]:.2f} {name}" for name in peers if name in ratios)
