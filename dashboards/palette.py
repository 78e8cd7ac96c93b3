"""Colours, and the page's style sheet.

Negative is warm, positive is blue: the pair stays apart under every common colour blindness
(Okabe & Ito, "Color Universal Design"). Green and red say nothing anywhere on the page alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme, as CSS values."""

    negative: str
    neutral: str
    positive: str
    ink: str
    muted: str
    faint: str
    line: str
    surface: str
    good: str
    warn: str
    scale: tuple[str, ...]
    """From a negative share of nothing to one that is very high; begins near the background."""


LIGHT = Palette(
    negative="#c2540a",
    neutral="#8b93a1",
    positive="#1f6fb2",
    ink="#1d2530",
    muted="#5b6572",
    faint="#a9b0ba",
    line="#e2e5ea",
    surface="#ffffff",
    good="#0b7a66",
    warn="#9a6700",
    scale=("#f3f1ee", "#f6dcc3", "#f0b07b", "#de7a36", "#b84c08", "#7d2f04"),
)

DARK = Palette(
    negative="#f08a4b",
    neutral="#8f98a6",
    positive="#63aee8",
    ink="#e8ebef",
    muted="#a3adb9",
    faint="#6c7683",
    line="#2c333c",
    surface="#171c23",
    good="#4fc3a8",
    warn="#e3b341",
    scale=("#24211f", "#43301f", "#7a4620", "#b5622a", "#ec8a49", "#ffc08f"),
)


def of(theme: str | None) -> Palette:
    """The palette of Streamlit's theme type; ``None``, before the browser has told it, is light."""
    return DARK if theme == "dark" else LIGHT


def style_sheet(palette: Palette) -> str:
    """The page's own classes, all with the prefix ``m-``, so that no upgrade collides with them."""
    p = palette
    return f"""<style>
[data-testid="stMainBlockContainer"] {{ max-width: 1480px; padding: 2.6rem 2rem 4rem; }}
[data-testid="stMetric"] {{ border-color: {p.line}; }}
.m-title {{ font-size: 1.55rem; font-weight: 650; letter-spacing: -.015em; color: {p.ink};
  margin: 0 0 .55rem; line-height: 1.2; }}
.m-title span {{ font-weight: 400; color: {p.muted}; font-size: 1rem; letter-spacing: 0;
  margin-left: .6rem; }}
.m-state {{ display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; align-items: baseline;
  padding: .7rem 1rem; border: 1px solid {p.line}; border-left: 4px solid {p.faint};
  border-radius: 8px; background: {p.surface}; color: {p.ink}; }}
.m-state b {{ font-weight: 650; }}
.m-state .m-facts {{ color: {p.muted}; font-size: .875rem; display: flex; flex-wrap: wrap;
  gap: .2rem 1.1rem; font-variant-numeric: tabular-nums; }}
.m-live {{ border-left-color: {p.good}; }} .m-live b {{ color: {p.good}; }}
.m-stalled {{ border-left-color: {p.negative}; }} .m-stalled b {{ color: {p.negative}; }}
.m-quiet {{ border-left-color: {p.warn}; }} .m-quiet b {{ color: {p.warn}; }}
.m-h {{ font-size: 1.08rem; font-weight: 620; color: {p.ink}; margin: 1.1rem 0 .1rem;
  letter-spacing: -.005em; }}
.m-note {{ color: {p.muted}; font-size: .84rem; line-height: 1.45; margin: 0; }}
.m-panel {{ display: flex; justify-content: space-between; align-items: baseline; gap: .6rem; }}
.m-panel .m-name {{ white-space: nowrap; font-weight: 600; color: {p.ink}; font-size: .95rem; }}
.m-panel .m-num {{ color: {p.muted}; font-size: .84rem; font-variant-numeric: tabular-nums;
  text-align: right; }}
.m-panel .m-num b {{ color: {p.ink}; font-weight: 620; }}
.m-fire {{ color: {p.negative}; font-weight: 620; }}
.m-key {{ display: inline-block; width: .8em; height: .8em; border-radius: 2px;
  vertical-align: -.05em; margin: 0 .3em 0 .9em; }}
.m-key:first-child {{ margin-left: 0; }}
.m-ring {{ border: 1.5px solid {p.faint}; border-radius: 50%; width: .55em; height: .55em;
  vertical-align: .05em; }}
.m-card {{ border: 1px solid {p.line}; border-left: 4px solid {p.faint}; border-radius: 8px;
  background: {p.surface}; padding: .85rem 1.05rem .8rem; margin-bottom: .75rem; color: {p.ink};
  overflow-wrap: anywhere; }}
.m-card.m-firing {{ border-left-color: {p.negative}; }}
.m-card.m-pending {{ border-left-color: {p.warn}; }}
.m-top {{ display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; }}
.m-top .m-name {{ font-weight: 650; font-size: 1.02rem; }}
.m-chip {{ font-size: .72rem; font-weight: 620; letter-spacing: .03em; padding: .1rem .5rem;
  border-radius: 99px; border: 1px solid currentColor; color: {p.muted}; white-space: nowrap; }}
.m-chip.m-critical {{ color: {p.surface}; background: {p.negative}; border-color: {p.negative}; }}
.m-chip.m-warning, .m-chip.m-fire {{ color: {p.negative}; }}
.m-when {{ margin-left: auto; color: {p.muted}; font-size: .82rem;
  font-variant-numeric: tabular-nums; }}
.m-move {{ margin: .5rem 0 .1rem; font-size: .95rem; }}
.m-move b {{ font-weight: 650; font-variant-numeric: tabular-nums; }}
.m-mark {{ margin: .4rem 0 0; font-size: .88rem; color: {p.warn}; }}
.m-card .m-note {{ margin: .3rem 0; }} .m-note .m-chip {{ display: inline-block;
  line-height: 1.35; margin: .1rem 0; }}
.m-evidence {{ list-style: none; margin: .55rem 0 .3rem; padding: 0 !important; }}
.m-evidence li {{ display: grid; grid-template-columns: 3.1rem minmax(0, 1fr); gap: .7rem;
  padding: .34rem 0; border-top: 1px solid {p.line}; font-size: .88rem; line-height: 1.4; }}
.m-p {{ font-variant-numeric: tabular-nums; color: {p.muted}; font-size: .8rem;
  padding-top: .1rem; }}
.m-p i {{ display: block; height: 3px; border-radius: 2px; background: {p.line};
  margin-top: 3px; }}
.m-p i i {{ background: {p.negative}; margin: 0; }}
.m-evidence a {{ color: {p.ink}; text-decoration: underline; text-decoration-color: {p.faint};
  text-underline-offset: 2px; }}
.m-evidence a:hover {{ color: {p.positive}; }}
.m-card summary {{ cursor: pointer; color: {p.muted}; font-size: .82rem;
  padding: .1rem 0 .4rem; }}
.m-src {{ color: {p.muted}; font-size: .8rem; display: block; }}
.m-foot {{ color: {p.muted}; font-size: .82rem; border-top: 1px solid {p.line};
  padding-top: .45rem; margin-top: .25rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }}
.m-card.m-wanted {{ outline: 2px solid {p.positive}; outline-offset: 2px; }}
.m-fall {{ color: {p.muted}; font-size: .8rem; line-height: 1.5; margin: .1rem 0 .5rem;
  font-variant-numeric: tabular-nums; }}
.m-bar {{ display: flex; height: 6px; border-radius: 3px; overflow: hidden; background: {p.line};
  margin: .3rem 0 .25rem; }}
.m-bar i {{ min-width: 3px; flex-basis: 0; }}
.m-fall b {{ display: inline-block; width: .6em; height: .6em; border-radius: 2px;
  margin-right: .3em; }}
.m-stop0 {{ background: {p.faint}; }} .m-stop1 {{ background: {p.positive}; }}
.m-stop2 {{ background: {p.negative}; }} .m-stop3 {{ background: {p.warn}; }}
.m-empty {{ border: 1px dashed {p.line}; border-radius: 8px; padding: 1.6rem 1.4rem;
  color: {p.muted}; line-height: 1.55; }}
.m-empty b {{ color: {p.ink}; }}
.m-empty code {{ color: {p.ink}; background: {p.line}; padding: .08rem .35rem; border-radius: 4px;
  font-size: .86em; }}
.m-rows {{ width: 100%; border-collapse: collapse; font-size: .88rem; }}
.m-rows td {{ padding: .38rem .6rem .38rem 0; border-top: 1px solid {p.line}; color: {p.ink};
  vertical-align: top; border-left: 0; border-right: 0; border-bottom: 0; }}
.m-rows td.m-n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.m-rows th {{ padding: .2rem .6rem .3rem 0; border: 0; color: {p.muted}; font-size: .8rem;
  font-weight: 400; text-align: left; }} .m-rows th.m-n {{ text-align: right; }}
.m-rows .m-src {{ line-height: 1.4; }}
.m-words {{ margin: .6rem 0 .5rem; font-size: 1rem; line-height: 1.9; }}
.m-words span {{ padding: .12rem .18rem; border-radius: 3px; }}
.m-sources {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr));
  gap: .6rem; margin: .4rem 0 .8rem; }}
.m-source {{ border: 1px solid {p.line}; border-left: 4px solid {p.faint}; border-radius: 8px;
  background: {p.surface}; padding: .55rem .75rem .5rem; color: {p.ink}; overflow-wrap: anywhere; }}
.m-source .m-name {{ font-size: .92rem; }} .m-source p {{ margin: 0; }}
.m-source .m-chip {{ margin-left: auto; }}
.m-is-speaking {{ border-left-color: {p.good}; }} .m-is-speaking .m-chip {{ color: {p.good}; }}
.m-is-quiet {{ border-left-color: {p.warn}; }} .m-is-quiet .m-chip {{ color: {p.warn}; }}
.m-is-blind {{ border-left-color: {p.negative}; }} .m-is-blind .m-chip {{ color: {p.negative}; }}
.m-spark {{ display: block; width: 100%; height: 22px; margin: .3rem 0 .15rem; }}
.m-spark rect {{ fill: {p.faint}; }}
.m-scroll {{ overflow-x: auto; }}
.st-key-m_main > div > [data-testid="stHorizontalBlock"],
.st-key-m_main > [data-testid="stLayoutWrapper"] > [data-testid="stHorizontalBlock"]
  {{ flex-wrap: wrap; }}
.st-key-m_main > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:first-child
  {{ min-width: min(100%, 620px); flex: 1.75 1 620px; }}
.st-key-m_main > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child
  {{ min-width: min(100%, 400px); flex: 1 1 400px; }}
.st-key-m_three [data-testid="stHorizontalBlock"] {{ flex-wrap: wrap; }}
.st-key-m_three [data-testid="stColumn"] {{ min-width: min(100%, 340px); flex: 1 1 340px; }}
.st-key-m_tiles [data-testid="stHorizontalBlock"] {{ flex-wrap: wrap; }}
.st-key-m_tiles [data-testid="stColumn"] {{ min-width: 145px; flex: 1 1 145px; }}
.st-key-m_tiles [data-testid="stMetricDelta"] * {{ white-space: normal; overflow-wrap: anywhere; }}
[data-testid="stElementContainer"]:has(.m-card) + [data-testid="stLayoutWrapper"]
  {{ margin: -1.35rem 0 .9rem; }}
@media (min-width: 1100px) {{
  [data-testid="stVerticalBlock"]:has(> [data-testid="stElementContainer"] .m-card)
    {{ max-height: 1650px; overflow-y: auto; padding: 4px 6px 4px 4px; }}
}}
@media (max-width: 640px) {{
  .st-key-m_main > * > [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:last-child
    {{ order: -1; }}
}}
.stMultiSelect [data-tag] {{ background: {p.line}; color: {p.ink}; }}
</style>"""
