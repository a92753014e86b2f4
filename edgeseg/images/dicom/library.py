"""All that is read through pydicom, with its errors translated; nothing else imports it."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from edgeseg.errors import EdgesegError, ImageDecodeError, MissingExtraError

IDENTIFIERS = {
    "patient_id": "PatientID", "accession_number": "AccessionNumber",
    "study_instance_uid": "StudyInstanceUID", "sop_instance_uid": "SOPInstanceUID",
}  # fmt: skip
"""Columns that tell whose an image is, and the elements that they hold."""
JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
_LONGEST_TEXT = 128  # of what is asked for here, a UID or a word
T = TypeVar("T")
_alone = threading.RLock()  # warnings are turned off for the whole process


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of pydicom and of what builds on it: their texts quote patients."""
    me, logger = threading.get_ident(), logging.getLogger("pydicom")
    with _alone, warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        logger.addFilter(is_of_others := lambda record: record.thread != me)
        stack.callback(logger.removeFilter, is_of_others)
        yield


@contextlib.contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn what pydicom raises into errors that quote nothing of the file."""
    try:
        with quiet():
            yield
    except EdgesegError:
        raise
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this is a DICOM file, and reading it needs {error.name!r}; install it with pip "
            "install 'edgeseg[dicom]' (from a checkout: pip install '.[dicom]'), or export it as "
            "PNG"
        ) from None
    except MemoryError:
        raise ImageDecodeError(f"there is not enough memory to read {what}") from None
    except Exception:  # of any kind, by what the bytes are; its text quotes them
        raise ImageDecodeError(
            f"{what} cannot be read: the DICOM file is damaged or cut short"
        ) from None


def read_elements(
    source: BinaryIO | Path, keywords: Sequence[str] | None = None, *, pixels: bool = False
) -> Any:
    """Return all or some elements as a ``Dataset``; a stream is left where its pixels begin.

    The pixels are among them where that is asked.
    """
    with translate_errors("the file"):
        from pydicom import dcmread

        wanted = None if keywords is None else [*keywords]
        return dcmread(source, stop_before_pixels=not pixels, force=True, specific_tags=wanted)


def value_of(dataset: Any, keyword: str, kind: Callable[[Any], T]) -> T | None:
    """Return an element as an ``int`` or the like, or raise an error; None if it is missing."""
    with translate_errors(f"its element {keyword}"):
        value = dataset.get(keyword)
        return None if value is None or value == "" else kind(value)


def value_or_none(dataset: Any, keyword: str, kind: Callable[[Any], T]) -> T | None:
    """Return what `value_of` does, None of an element that is damaged too."""
    try:
        return value_of(dataset, keyword, kind)
    except ImageDecodeError:
        return None


def text(dataset: Any, keyword: str) -> str:
    """Return an element as text, cut short; empty where it is missing or cannot be read."""
    return (value_or_none(dataset, keyword, str) or "")[:_LONGEST_TEXT].strip("\0 ")


def syntax_of(dataset: Any) -> str:
    """Return a file's transfer syntax; where it does not say one, as its elements are written."""
    if syntax := text(getattr(dataset, "file_meta", None) or {}, "TransferSyntaxUID"):
        return syntax
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def sequence(dataset: Any, keyword: str, most: int) -> list[Any]:
    """Return the first items of a sequence; none if it is missing."""
    return value_of(dataset, keyword, lambda items: [*items[:most]]) or []


def decode_frame(
    dataset: Any,
    syntax: str,
    source: BinaryIO | bytes,
    index: int,
    n_frames: int,
    *,
    in_words: bool = False,
) -> npt.NDArray[np.generic]:
    """Return a frame, (h, w) or (h, w, samples), as pydicom decodes it, its colours unchanged.

    The source is the pixel data, at the start of its value, or the bytes of a compressed frame; the
    index is that of the frame in it, from 0. Raises ImageDecodeError if no package can decode it.
    """
    with translate_errors("its pixels"):
        from pydicom.encaps import encapsulate
        from pydicom.pixels.decoders.base import get_decoder
        from pydicom.pixels.utils import as_pixel_options
        from pydicom.uid import UID

        try:
            decoder = get_decoder(UID(syntax))
            is_available = decoder.is_available
        except NotImplementedError:
            is_available = False
        if not is_available:
            advice = "install pyjpegls, or " if syntax in JPEG_LS else ""
            raise ImageDecodeError(
                f"no package is installed that decodes {UID(syntax).name}; {advice}save the images "
                "uncompressed"
            )
        options = as_pixel_options(dataset, pixel_keyword="PixelData", number_of_frames=n_frames)
        options.pop("extended_offsets", None)
        options["pixel_vr"] = "OW" if in_words else "OB"
        # bits that no sample needs are cleared, as overlays lie in them; unless these are the lower
        top = (dataset.get("HighBit") or 0) + 1
        options["correct_unused_bits"] = top != options["bits_allocated"]
        if isinstance(source, bytes):
            source = encapsulate([source], has_bot=False)
        pixels, _ = decoder.as_array(source, index=index, raw=True, **options)
        return np.asarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def load_codes() -> Any:
    """Return pydicom's dictionary of codes, after PS3.16."""
    from pydicom.sr.codedict import codes

    return codes


def expand_palette(dataset: Any, values: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
    """Return the colours, shape (n, 3), that a palette of segments gives to values."""
    with translate_errors("its palette"):
        from pydicom.pixels.processing import apply_color_lut

        return np.asarray(apply_color_lut(values, dataset))[..., :3]
