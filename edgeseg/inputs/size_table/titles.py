"""What the columns of a table hold, as their titles say it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MM_PER_UNIT = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("um", "μm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("micrometre", "micrometres", "mpp"), 1e-3),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
}
_PIXELS = frozenset(("pixel", "pixels", "px", "pix", "voxel", "voxels", "píxel", "dot", "dots"))
_SIZES = _words(
    "size sizes spacing spacings pitch dimension dimensions dim grösse groesse grosse "
    "abstand breite höhe hoehe taille tamaño tamano tamanho grootte dimensione resolution "
    "scale width height length side"
)
# These may as well be counts of pixels, or their number in a length: only a unit can tell.
_NEED_A_UNIT = frozenset(("resolution", "scale", "width", "height", "length", "breite", "höhe"))
_NAMES = (
    _words("file files filename filenames filepath filepaths dateiname datei fichier"),
    _words("bestand bestandsnaam archivo path paths pfad"),
    _words("image images img scan picture bild bilddatei imagen frame"),
    frozenset(("name", "names", "nom", "nombre", "naam")),
    frozenset(("id", "key", "index")),
)
_X = _words("horizontal column columns col cols lateral width across dx breite")
_Y = _words("vertical row rows axial height down dy höhe hoehe")
_AXES = (_X | _Y) - {"dx", "dy"}
_BETWEEN = _words("x y de du del di d of a the one in")
_OF_AN_IMAGE = _words(
    "px pixel pixels image images img original originals orig native in n number num of "
    "raw full source dimension dimensions dim bild"
)
_WHOLE = _words("image img original orig native")
_INVERSE = frozenset(("dpi", "ppi", "ppmm", "ppcm", "dpmm", "dpcm"))
_PER = frozenset(("/", "per", "pro", "par", "por"))
_OTHER = _words(
    "slice slices z thickness between source unit units area fläche sd std min max count "
    "time error type weeks percentile"
)
_GLUED = re.compile(
    r"(pixel|voxel|px)(size|sizes|spacing|pitch|grösse|groesse|grosse|abstand|grootte|breite|höhe)(mm)?"
)
_AREA = re.compile(r"[cmμu]m\s*\^?2")


class Title(NamedTuple):
    """What a column holds.

    Attributes
    ----------
    kind
        ``name`` of a file, ``size`` of a pixel, ``hc``, ``unit`` of the sizes; of the original
        image in pixels ``width``, ``height`` or ``sides``; ``inverse``: pixels per length;
        ``unclear``: perhaps sizes; or nothing.
    axes
        Of a size: ``x``, ``y``, both in an order (``xy``, ``yx``), numbered (``?``), or empty: one
        number for both.
    mm
        Millimetres in its unit.
    rank
        Of a name: the lower, the surer.
    """

    kind: str
    axes: str = ""
    mm: float = 1.0
    rank: int = 0


_NOTHING = Title("")
_LONGEST = 300  # characters; those of a table that is none can be the whole file


def read_title(title: str) -> Title:
    """Return what a column's title says that it holds."""
    if len(title) > _LONGEST:
        return _NOTHING
    text = unicodedata.normalize("NFKC", title)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold()
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+|/", unicodedata.normalize("NFC", text)):
        glued = _GLUED.fullmatch(word)
        words += [part for part in glued.groups() if part] if glued else [word]
    if not words:
        return _NOTHING
    return _name(words) or (_NOTHING if _AREA.search(text) else _figure(words))


def _name(words: Sequence[str]) -> Title | None:
    groups = [next((i for i, g in enumerate(_NAMES) if word in g), None) for word in words]
    ranks = [group for group in groups if group is not None]
    return Title("name", rank=min(ranks)) if len(ranks) == len(words) else None


def _figure(words: Sequence[str]) -> Title:
    seen = frozenset(words)
    units = {MM_PER_UNIT[word] for word in words if word in MM_PER_UNIT}
    about = seen - MM_PER_UNIT.keys() - {"in", "true", "reference"}
    if about in ({"hc"}, {"head", "circumference"}) and not seen & _PIXELS:
        return Title("hc", mm=units.pop()) if len(units) == 1 else Title("hc" if not units else "")
    if about & {"unit", "units"}:
        return Title("unit" if about & (_PIXELS | {"spacing"}) or len(about) == 1 else "")
    if not units and (sides := _sides(seen)):
        return Title(sides)
    if seen & _OTHER:
        return _NOTHING
    if _is_inverse(words):
        return Title("inverse")
    if not (kind := _size_kind(words, units)):
        return _NOTHING
    mm = units.pop() if units else 10.0 if "delta" in seen else 1.0  # DICOM's PhysicalDeltaX: cm
    return Title(kind, _axes(words), mm)


def _sides(seen: frozenset[str]) -> str:
    """Return which side of the original image a title is of, if any."""
    about = seen - _OF_AN_IMAGE
    if about in ({"width"}, {"columns"}, {"cols"}) and not seen & {"pixel"}:
        return "width"
    if about in ({"height"}, {"rows"}) and not seen & {"pixel"}:
        return "height"
    pixel_size = bool(seen & {"pixel", "px"}) and seen.isdisjoint(_WHOLE)
    if about in ({"size"}, {"shape"}, {"resolution"}, set()) and not pixel_size:
        sized = about or "dimensions" in seen
        return "sides" if "shape" in seen or (sized and not seen.isdisjoint(_WHOLE)) else ""
    return ""


def _is_inverse(words: Sequence[str]) -> bool:
    """Tell pixels per millimetre, whose number is no size."""
    per = [i for i, word in enumerate(words) if word in _PER and 0 < i < len(words) - 1]
    return bool(_INVERSE & set(words)) or any(
        words[i - 1] in _PIXELS | {"1"} and words[i + 1] in {*MM_PER_UNIT, "inch", "in"}
        for i in per
    )


def _size_kind(words: Sequence[str], units: set[float]) -> str:
    """Return whether a title is of pixel sizes, or may be: ``size``, ``unclear`` or nothing."""
    seen = set(words)
    mm_per_pixel = any(
        words[i - 1] in MM_PER_UNIT and words[i] in _PER and words[i + 1] in _PIXELS
        for i in range(1, len(words) - 1)
    )
    core = [word for word in words if word not in _BETWEEN and word not in MM_PER_UNIT]
    # "size in pixels" is no pixel's size, but "taille du pixel" is
    of_pixels = any(
        (a in _PIXELS and b in _SIZES) or (a in _SIZES - {"size"} and b in _PIXELS)
        for a, b in pairwise(core)
    )
    said_so = re.search(r"size of (a |one |the )?pixel", " ".join(words)) is not None
    about = {word for word in core if word not in _AXES and not word.isdigit()}
    alone = about <= {"spacing", "image", "imager", "physical", *_PIXELS} and "spacing" in about
    pixel_in_mm = bool(about) and about <= {"pixel", "px", "pix", "voxel", "dx", "dy"}
    with_unit = bool(units) and (pixel_in_mm or "resolution" in about or "mpp" in seen)
    in_dicom = {"physical", "delta"} <= seen
    if not (mm_per_pixel or of_pixels or said_so or alone or with_unit or in_dicom):
        return ""
    if len(units) > 1:
        return "unclear"
    sizes = seen & _SIZES
    if of_pixels and sizes <= _NEED_A_UNIT and not units:
        return "unclear"
    return "size"


def _axes(words: Sequence[str]) -> str:
    named = ["x" if word in _X else "y" for word in words if word in _X | _Y]
    lettered = [word for word in words if word in ("x", "y")]
    for axes in (named, lettered):
        if set(axes) == {"x", "y"}:
            return "".join(dict.fromkeys(axes))
    if axes := named or lettered:
        return axes[0]
    if words[-1] in ("0", "1", "2"):
        return "?"
    # DICOM's attribute of that name gives the distance of rows first.
    return "yx" if ("pixel", "spacing") in pairwise(words) else ""
