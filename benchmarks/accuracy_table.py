"""Print the bundled models' accuracy, from their cards, as the README's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.network import zoo

_HEADER = (
    "| model | GMAC | parameters | file | Dice % | ellipse Dice % | HC error mm | bias mm | > 5 mm "
    "| images |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)
_OTHERS = (
    "| the paper's, 512x512 | 13.4 | 6.63 M | | 96.28 (pooled over batches) | | | | | 200 others |",
    "| DAG V-Net 2021 | | | | 97.93 | | 1.77 ± 1.69 | | | 335 others |",
)


def table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of cards, the published figures below them."""
    return "\n".join((*_HEADER, *(row(name, card) for name, card in models.items()), *_OTHERS))


def row(name: str, card: Mapping[str, Any]) -> str:
    """Return one model's row."""
    figures = card["metrics"]["figures"]
    images = card["metrics"]["data"].removeprefix("HC18, ").removesuffix(" images")
    cells = (
        f"`{name}`",
        f"{card['gmac']:.2f}",
        f"{card['parameters'] / 1e6:.2f} M",
        f"{card['size_bytes'] / 1e6:.2f} MB",
        f"{100 * figures['dice']:.2f}",
        f"{100 * figures['dice_ellipse']:.2f}",
        f"{figures['hc_mad_mm']:.2f} ± {figures['hc_mad_sd_mm']:.2f}",
        f"{figures['hc_bias_mm']:+.2f}",
        f"{100 * figures['large_error_fraction']:.1f} %",
        images,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table(zoo.manifest()))  # noqa: T201
