"""The measurement of robustness as files: robustness.md, robustness.json and figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from models.directory import compact
from models.evaluation.canvas import BLUE, GREEN, GREY, INK, ORANGE, RED, figure, grid, save, title
from models.evaluation.document import make, put, table
from models.evaluation.metrics import Interval
from models.evaluation.robustness import Bias, Flips, Robustness

FORMAT: Final = 1


def as_json(found: Robustness, *, name: str, version: str) -> str:
    """Return all figures as JSON."""
    content = {"format": FORMAT, "name": name, "version": version, **asdict(found)}
    return compact(json.dumps(content, indent=1, ensure_ascii=False))


def write(folder: Path, found: Robustness, *, name: str, version: str) -> tuple[Path, ...]:
    """Write robustness.md, robustness.json and the figures; the folder is made if missing.

    Raises:
        ModelError: the folder cannot be written, or matplotlib is missing.
    """
    make(folder)
    model = f"{name} {version}"
    pictures = {"flips": _draw_flips(found, model, folder / "robustness-flips.png")}
    for bias in found.bias:
        path = folder / f"robustness-bias-{bias.kind.replace(' ', '-')}.png"
        pictures[bias.kind] = _draw_bias(bias, model, path)
    put(folder / "robustness.md", markdown(found, name=name, version=version, pictures=pictures))
    put(folder / "robustness.json", as_json(found, name=name, version=version) + "\n")
    return (folder / "robustness.md", folder / "robustness.json", *pictures.values())


def markdown(found: Robustness, *, name: str, version: str, pictures: Mapping[str, Path]) -> str:
    """Return the report for a reader; `pictures` are paths by what they show."""
    lines = [
        f"# Robustness of `{name}`, version {version}",
        "",
        f"{found.texts:,} texts, seed {found.seed}. Flip rate: the share of the changed texts whose"
        " verdict is another than before. Polar: from negative to positive or back. Shift: the mean"
        " absolute change of the probability of negative sentiment. In brackets: 95 % Wilson"
        " intervals.",
        "",
    ]
    rows = [
        (f.kind, f"{f.changed / max(1, f.texts):.1%}", f.changed, _share(f.sentiment),
         _share(f.polar), _share(f.topic), f"{f.shift:.3f}")
        for f in found.flips
    ]  # fmt: skip
    head = ("kind", "texts changed", "n", "sentiment flips", "polar flips", "topic flips", "shift")
    lines += [*table(head, rows), *_picture(pictures, "flips")]
    for bias in found.bias:
        lines += _bias(bias, pictures)
    lines += _examples(found.flips)
    return "\n".join(lines).rstrip() + "\n"


def _bias(bias: Bias, pictures: Mapping[str, Path]) -> list[str]:
    groups = ", ".join(f"{group} {value:.3f}" for group, value in bias.groups.items())
    return [
        f"## Bias: {bias.kind}",
        "",
        f"Each of {len(bias.names)} names in the same {bias.carriers} texts. Means of P(negative)"
        f" lie within {bias.range:.3f}; {_share(bias.unstable)} of the texts are not given the same"
        " sentiment with all names. Intervals: 95 % bootstrap over the texts, paired. The pairs are"
        " the widest of all, so their differences are overstated."
        + (f" By group: {groups}." if groups else ""),
        "",
        *table(
            ("widest pairs", "difference of P(negative)", "texts with another sentiment"),
            [
                (f"{p.high} and {p.low}", _signed(p.difference), f"{p.flips:.1%}")
                for p in bias.pairs
            ],
        ),
        *table(
            ("name", "group", "mean P(negative)", "against the mean of all names"),
            [(n.name, n.group, f"{n.negative:.3f}", _signed(n.deviation)) for n in bias.names],
        ),
        *_picture(pictures, bias.kind),
    ]


def _examples(flips: Sequence[Flips]) -> list[str]:
    rows = [
        (f.kind, " ".join(e.before.split()), " ".join(e.after.split()),
         f"{e.negative_before:.2f} to {e.negative_after:.2f}")
        for f in flips
        for e in f.examples
    ]  # fmt: skip
    if not rows:
        return []
    head = ("kind", "before", "after", "P(negative)")
    return ["## The widest flips of the sentiment", "", *table(head, rows)]


def _draw_flips(found: Robustness, model: str, path: Path) -> Path:
    shown = [f for f in found.flips if f.changed][::-1]
    fig, (axes,) = figure(9.6, 1.9 + 0.42 * len(shown))
    series = (
        ("sentiment", BLUE, "o", 0.2, [f.sentiment for f in shown]),
        ("topic", ORANGE, "s", 0.0, [f.topic for f in shown]),
        ("negative to positive or back", RED, "D", -0.2, [f.polar for f in shown]),
    )
    for name, colour, marker, offset, values in series:
        for place, value in enumerate(values):
            axes.plot([value.low, value.high], [place + offset] * 2, color=colour, linewidth=1.6)
        axes.plot(
            [v.value for v in values], [i + offset for i in range(len(values))],
            linestyle="none", marker=marker, markersize=6, color=colour, label=name, clip_on=False,
        )  # fmt: skip
    for place in range(0, len(shown), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", linewidth=0, zorder=0)
    axes.set_yticks(range(len(shown)), [f"{f.kind}  ({f.changed:,})" for f in shown])
    axes.set_ylim(-0.5, len(shown) - 0.5)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("share of the changed texts whose verdict flips, 95 % intervals")
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
    fig.legend(loc="outside lower center", ncols=3, frameon=False)
    title(fig, "Flips under perturbation", f"{model} · n = {found.texts:,}, changed in brackets")
    return save(fig, path)


def _draw_bias(bias: Bias, model: str, path: Path) -> Path:
    names = [*bias.names][::-1]
    first = [name.group.partition(", ")[0] for name in names]
    palette = dict(zip(dict.fromkeys(first), (BLUE, RED, GREEN, ORANGE), strict=False))
    fig, (axes,) = figure(8.6, 2.0 + 0.235 * len(names))
    axes.axvline(0, color=GREY, linewidth=1.1, linestyle="--")
    for place, (name, group) in enumerate(zip(names, first, strict=True)):
        colour = palette[group]
        axes.plot(
            [name.deviation.low, name.deviation.high], [place] * 2, color=colour, linewidth=1.5
        )
        axes.plot([name.deviation.value], [place], "o", color=colour, markersize=5.5)
    labels = [
        f"{n.name}  ({n.group.partition(', ')[2]})" if ", " in n.group else n.name for n in names
    ]
    axes.set_yticks(range(len(names)), labels, fontsize=9, color=INK)
    axes.set_ylim(-0.8, len(names) - 0.2)
    widest = max(max(abs(n.deviation.low), abs(n.deviation.high)) for n in names)
    axes.set_xlim(-1.06 * max(widest, 0.01), 1.06 * max(widest, 0.01))
    axes.set_xlabel("mean P(negative) against the mean of all names, 95 % intervals")
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
    if len(palette) > 1:
        for group, colour in palette.items():
            axes.plot([], [], "o", color=colour, label=group)
        axes.legend(loc="lower right", frameon=False)
    title(
        fig,
        f"Does the {bias.kind} decide the sentiment?",
        f"{model} · the same {bias.carriers} texts for each name · range {bias.range:.3f}",
    )
    return save(fig, path)


def _picture(pictures: Mapping[str, Path], name: str) -> list[str]:
    return [f"![{name}]({pictures[name].name})", ""] if name in pictures else []


def _share(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _signed(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
