"""What all figures share: colours, sizes, titles; matplotlib is imported when one is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by readers with any colour vision.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
RED: Final = "#D55E00"
GREEN: Final = "#009E73"
GREY: Final = "#6E6E6E"
PALE: Final = "#D9D9D9"
INK: Final = "#222222"

_STYLE: Final[dict[Any, Any]] = {  # matplotlib types its keys as hundreds of literals
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


def figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **grid: Sequence[float]
) -> "tuple[Figure, list[Axes]]":
    """Return an empty figure (inches) and its axes, row by row. No global state is touched.

    Raises:
        ModelError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModelError(
            "figures need matplotlib; install it with: pip install 'monitor[train]'"
        ) from error
    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False, gridspec_kw=dict(grid))
    return drawn, list(axes.ravel())


def title(drawn: "Figure", head: str, below: str) -> None:
    """Write the title of the figure and, smaller, what it was measured on."""
    height = drawn.get_figheight()
    engine = drawn.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.0, 1.0, 1 - 0.68 / height))  # type: ignore[call-arg]
    drawn.text(
        0.02, 1 - 0.25 / height, head, fontsize=14, fontweight="bold", color=INK, va="center"
    )
    drawn.text(0.02, 1 - 0.51 / height, below, fontsize=9.5, color=GREY, va="center")


def grid(axes: "Axes", axis: str = "both") -> None:
    """Draw quiet grid lines behind the data."""
    axes.grid(visible=True, axis=axis, color="#ECECEC", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def save(drawn: "Figure", path: Path) -> Path:
    """Write the figure as PNG and return its path.

    Raises:
        ModelError: the file cannot be written.
    """
    import matplotlib as mpl

    try:
        with mpl.rc_context(_STYLE):
            drawn.savefig(path, dpi=150, facecolor="white")
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    return path
