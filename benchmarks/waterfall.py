"""A picture of steps that follow each other: how long each took, and when it was over."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_LEFT, _WIDTH, _ROW, _TOP = 290, 430, 30, 58
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_SAID = (
    'role="img" aria-labelledby="title description"'
    " font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\""
)
_STYLE = """
    .card { fill: #ffffff; stroke: #d0d7de }
    .bar { fill: #57789c }
    .grid { stroke: #d0d7de }
    .title { fill: #1f2328; font-weight: 600 }
    .text { fill: #424a53 }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d }
      .bar { fill: #6b8fb5 }
      .grid { stroke: #30363d }
      .title { fill: #e6edf3 }
      .text { fill: #b1bac4 }
    }
"""


def waterfall(title: str, steps: Mapping[str, float]) -> str:
    """SVG. `steps` are names in order with the milliseconds until the end of each, counted from the same beginning."""
    longest = max(*steps.values(), 1.0)
    height = _TOP + _ROW * len(steps) + 34
    bottom = height - 30
    told = "; ".join(f"{name}: {end:.0f} ms" for name, end in steps.items())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" width="860" height="{height}" {_SAID}>',
        f'  <title id="title">{escape(title)}</title>',
        f'  <desc id="description">{escape(told)}</desc>',
        f"  <style>{_STYLE}  </style>",
        f'  <rect class="card" x="0.5" y="0.5" width="859" height="{height - 1}" rx="10"/>',
        f'  <text class="title" x="20" y="32">{escape(title)}</text>',
    ]
    for tick in _ticks(longest):
        x = _x(tick, longest)
        lines.append(f'  <line class="grid" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(f'  <text class="text" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{tick} ms</text>')
    for row, (name, beginning, end) in enumerate(_spans(steps)):
        lines += _bar(name, beginning, end, y=_TOP + _ROW * row, longest=longest)
    return "\n".join([*lines, "</svg>", ""])


def _spans(steps: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Each step from the end of the one before. Where clocks differ by less than a step takes, it takes nothing."""
    spans, reached = [], 0.0
    for name, end in steps.items():
        spans.append((name, reached, max(end, reached)))
        reached = max(end, reached)
    return spans


def _bar(name: str, beginning: float, end: float, *, y: float, longest: float) -> Sequence[str]:
    left, right = _x(beginning, longest), _x(end, longest)
    return (
        f'  <text class="text" x="{_LEFT - 12}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
        f'  <rect class="bar" x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}" height="20" rx="2"/>',
        f'  <text class="text" x="{right + 7:.1f}" y="{y + 15}">{end - beginning:.1f} ms</text>',
    )


def _x(milliseconds: float, longest: float) -> float:
    return _LEFT + _WIDTH * milliseconds / longest


def _ticks(longest: float) -> range:
    step = next((tick for tick in _TICKS if longest / tick <= 6), _TICKS[-1])
    return range(0, int(longest) + 1, step)
