"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cardigan.evaluation import Evaluation, Result
from cardigan.training.checkpoint import write_atomically
from cardigan.training.run import RunFolder

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
p{margin:.4rem 0}.about,.note,figcaption{color:#666}.note,figcaption{font-size:.85rem}
.verdict{display:inline-block;padding:.3rem .8rem;border-radius:.3rem;background:#fff1e5;border-left:4px solid #bc4c00}
.verdict.healthy{background:#e9f7ec;border-color:#2da44e}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #eee}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}figure{display:inline-block;margin:.4rem}
img{max-width:100%;image-rendering:pixelated}svg{background:#fafafa}
.curve{width:300px;vertical-align:top}
pre{background:#f6f6f6;padding:.8rem;overflow:auto;font-size:.8rem}
"""
COLOURS = ("#1f6feb", "#d1242f", "#2da44e", "#8250df", "#bf8700")
HISTORY = 8
ADVICE = {"lower": "lower is better", "higher": "higher is better", "target": "best where it equals that of the reals"}

Curve = Sequence[tuple[float, float]]


def write_report(
    folder: RunFolder,
    verdict: str,
    evaluation: Evaluation | None,
    samples: Image.Image,
    nearest: Image.Image | None = None,
    caption: str = "the trained model",
) -> None:
    """Write report.html: verdict, samples, metrics, curves, the history of the samples, and the recipe.

    Args:
        nearest: samples above the training images nearest to them.
        caption: of the samples.
    """
    record = folder.read_record()
    recipe = record.recipe
    title = f"{recipe.recipe} on {record.data}"
    size = f"{record.spec.width} x {record.spec.height} x {record.spec.channels}"
    sections = [
        f'<h1>{html.escape(title)}</h1><p class="about">{html.escape(recipe.about)}</p>',
        f'<p class="about">{size} {record.spec.kind}, batch {recipe.batch}, {recipe.images:,} images of training, '
        f"seed {recipe.seed}, Cardigan {html.escape(record.cardigan)}</p>",
        f'<p class="verdict {"healthy" * (verdict == "healthy")}">Training: {html.escape(verdict)}</p>',
        section("Samples", [figure(samples, caption)]),
        metrics_table(evaluation) if evaluation else "",
        section("Nearest training images", neighbours(nearest)),
        section("Curves", curves(folder.read_progress())),
        section("History", history(folder.samples)),
        section("Recipe", [f"<pre>{html.escape(folder.record_file.read_text(encoding='utf-8'))}</pre>"]),
    ]
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    text = f"{page}<style>{STYLE}</style>\n" + "\n".join(filter(None, sections)) + "\n</html>\n"
    write_atomically(folder.report_file, lambda path: path.write_text(text, encoding="utf-8"))


def section(title: str, parts: Iterable[str]) -> str:
    """A heading and what it is over; nothing where there is nothing."""
    body = "".join(parts)
    return f"<h2>{title}</h2>{body}" if body else ""


def metrics_table(evaluation: Evaluation) -> str:
    head = (
        '<tr><th>metric</th><th class="n">value</th><th class="n">95 % interval</th>'
        '<th class="n">real against real</th><th>what it means</th></tr>'
    )
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in evaluation.notes)
    return section("Metrics", ["<table>", head, *map(metrics_row, evaluation.results), "</table>", notes])


def metrics_row(result: Result) -> str:
    meaning = "; ".join(filter(None, (result.protocol.get("meaning"), ADVICE[result.better])))
    floor = "" if result.floor is None else f"{result.floor:.4g}"
    if floor and "floor" in result.protocol:
        floor += f"<br><small>{html.escape(str(result.protocol['floor']))}</small>"
    return (
        f'<tr><td>{html.escape(result.metric)}</td><td class="n">{result.value:.4g}</td>'
        f'<td class="n">{result.low:.4g} … {result.high:.4g}</td><td class="n">{floor}</td>'
        f"<td>{html.escape(meaning)}</td></tr>"
    )


def neighbours(nearest: Image.Image | None) -> Iterable[str]:
    if nearest is not None:
        yield figure(nearest, "samples above, below each the training image nearest to it: alike pairs would be copies")


def figure(picture: Image.Image, caption: str) -> str:
    """A picture inside the page."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def history(samples: Path, shown: int = HISTORY) -> Iterable[str]:
    """The pictures of the training, evenly thinned to `shown`, the last always among them."""
    paths = sorted(samples.glob("*.png"))
    step = max(1, -(-len(paths) // shown))
    for path in reversed(paths[::-1][::step]):
        with Image.open(path) as picture:
            small = picture.copy()
        small.thumbnail((236, 236), Image.Resampling.BOX)
        yield figure(small, f"{int(path.stem):,} images")


def curves(entries: list[dict[str, Any]]) -> Iterable[str]:
    """One small plot for each group of scalars that belong together."""
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in entries:
        for name, value in entry["scalars"].items():
            if value is not None:
                series.setdefault(name, []).append((entry["images"], value))
    for title, names in grouped(series).items():
        yield plot(title, {name: series[name] for name in names})


def grouped(series: dict[str, Any]) -> dict[str, list[str]]:
    """Scalars that share an axis: a quantity on training and on held-out data, real and generated, all gradients."""
    groups: dict[str, list[str]] = {}
    for name in series:
        last = name.removeprefix("held-out ")
        for word in ("score", "gradient"):
            if word in last and "penalty" not in last:
                last = {"score": "scores", "gradient": "gradient norms"}[word]
        groups.setdefault(last, []).append(name)
    return groups


def plot(title: str, lines: dict[str, Curve], width: int = 300, height: int = 150) -> str:
    """An SVG line plot with its extremes written at the axes."""
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    (left, right), (low, high) = (min(xs), max(xs)), (min(ys), max(ys))

    def at(x: float, y: float) -> str:
        across = 8 + (x - left) / ((right - left) or 1) * (width - 16)
        up = height - 18 - (y - low) / ((high - low) or 1) * (height - 40)
        return f"{across:.1f},{up:.1f}"

    drawn = "".join(
        f'<polyline fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.5" '
        f'points="{" ".join(at(x, y) for x, y in line)}"/>'
        for i, line in enumerate(lines.values())
    )
    legend = " ".join(
        f'<span style="color:{COLOURS[i % len(COLOURS)]}">{html.escape(name)}</span>' for i, name in enumerate(lines)
    )
    labels = (
        f'<text x="8" y="14" font-size="10" fill="#666">{high:.3g}</text>'
        f'<text x="8" y="{height - 4}" font-size="10" fill="#666">{low:.3g}</text>'
        f'<text x="{width - 8}" y="{height - 4}" font-size="10" fill="#666" text-anchor="end">'
        f"{right:,.0f} images</text>"
    )
    svg = f'<svg width="{width}" height="{height}" role="img" aria-label="{html.escape(title)}">{drawn}{labels}</svg>'
    return f'<figure class="curve">{svg}<figcaption>{legend}</figcaption></figure>'
