"""The colours of the structures that a model segments."""

from __future__ import annotations

# In turn, chosen to be told apart by most colour-blind eyes (after Okabe and Ito 2008); the first
# is green, and a doubtful head's orange.
COLOURS_BGR = (
    (80, 220, 60), (233, 180, 86), (66, 228, 240), (167, 121, 204), (178, 114, 0), (0, 94, 213),
)  # fmt: skip


def colour_bgr(structure: int) -> tuple[int, int, int]:
    """Return the colour of a structure, numbered from 1."""
    return COLOURS_BGR[(structure - 1) % len(COLOURS_BGR)]
