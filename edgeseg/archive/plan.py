"""How an archive is cut into parts, and what all parts must have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from edgeseg.archive import parquet
from edgeseg.archive.manifest import Manifest
from edgeseg.archive.place import Place, place_of
from edgeseg.errors import DataError, EdgesegError, OutputExistsError
from edgeseg.images.calibration import Calibration
from edgeseg.images.ruler import RulerOption
from edgeseg.network.task import Task, read_task
from edgeseg.output import table
from edgeseg.output.record import PICTURES, model_record
from edgeseg.output.report.page import REPORT_NAME
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import json_text
from edgeseg.system.parallel import ordered_map
from edgeseg.system.text import short
from edgeseg.system.version import __version__

RECORD_NAME, SUMMARY_NAME, FAILURES_NAME = "archive.json", "summary.json", "failures.csv"
READS = 8
"""Parts read at once, most of which wait for a store."""
_PARTS = "parts"
_PART = re.compile(r"part-(\d{8})\.parquet")
_COMMON = {
    "model": "model", "manifest": "manifest", "part_size": "part size",
    "calibration": "calibration", "ruler": "choice of ruler", "masks": "choice of masks",
    "overlays": "choice of overlays", "edgeseg": "version of edgeseg",
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is done to a manifest, and where the results go; it travels to other processes."""

    manifest: str  # path or URL, as ``out`` is; paths are whole
    out: str
    part_size: int = 1000  # frames in each part but the last
    model: str = "hc18-nano"  # as `edgeseg.Segmenter` takes it, and the device
    device: str = "cpu"
    read_ahead: int = 32  # files that are read before they are wanted
    masks: bool = False  # whether these pictures are written, below ``out``
    overlays: bool = False
    calibration: Calibration | None = None  # how the site measures
    ruler: RulerOption = None  # whether, and how, the ruler in a picture is read

    @property
    def place(self) -> Place:
        """Where the results go."""
        return place_of(self.out)


class Archive:
    """A plan beside its manifest and results: which parts there are, and which are done."""

    def __init__(self, plan: Plan, manifest: Manifest) -> None:
        self.plan, self.manifest = plan, manifest
        self.n_parts = -(-manifest.n_rows // plan.part_size)

    @property
    def parts(self) -> Place:
        """The folder of the parts."""
        return self.plan.place / _PARTS

    def part(self, number: int) -> Place:
        """Return where a part is written."""
        return self.parts / f"part-{number:08d}.parquet"

    def rows_of(self, number: int) -> tuple[int, int]:
        """Return the first row of a part and the one behind its last."""
        start = number * self.plan.part_size
        return start, min(start + self.plan.part_size, self.manifest.n_rows)

    def list_parts(self) -> set[int]:
        """Return the numbers of the parts that are written, damaged or not."""
        found = (_PART.fullmatch(name) for name in self.parts.list_names())
        return {int(match[1]) for match in found if match}

    def has_part(self, number: int) -> bool:
        """Return whether a part is written and none of its bytes is damaged."""
        part = self.part(number)
        return part.exists() and parquet.is_whole(part.read_whole(parquet.is_whole))

    def find_missing(
        self, shard: tuple[int, int] = (0, 1), on_notice: Callable[[str], None] = lambda text: None
    ) -> list[int]:
        """Return the numbers of a shard's parts that are not written yet, or are damaged.

        ``shard`` is (which, of how many), counted from 0 or from 1; ``on_notice`` is called with a
        sentence if parts are damaged. Raises `InputNotFoundError` if one cannot be read.
        """
        own = range(shard[0] % shard[1], self.n_parts, shard[1])
        written = sorted(self.list_parts().intersection(own))
        are_whole = dict(zip(written, ordered_map(self.has_part, written, READS), strict=True))
        if damaged := [number for number in written if not are_whole[number]]:
            on_notice(
                f"{len(damaged)} parts are damaged and will be measured again, such as "
                f"{self.part(damaged[0]).text}"
            )
        return [number for number in own if not are_whole.get(number)]

    def claim(self, segmenter: Segmenter) -> dict[str, Any]:
        """Write what all parts must have in common, or hold this to it; returns it.

        Raises `DataError` if an archive of another manifest, model, size or kind is there, or the
        manifest lists a frame twice; `OutputExistsError` if something else would be overwritten.
        """
        plan, out = self.plan, self.plan.place
        record = self._own_record | {
            "model": model_record(segmenter),
            "edgeseg": __version__,
            "masks": plan.masks,
            "overlays": plan.overlays,
            "calibration": None if plan.calibration is None else asdict(plan.calibration),
            "ruler": plan.ruler,
        }
        earlier = read_record(out)
        if earlier is None:
            self._refuse_others(out)
            self.manifest.refuse_repeated()
            (out / RECORD_NAME).write_first(json_text(record).encode())
            earlier = read_record(out) or record
        self._refuse_differences(earlier, record)
        return record

    def read_own_record(self) -> dict[str, Any]:
        """Return the record that is there; a `DataError` if it is of another manifest or size."""
        record = read_record(self.plan.place)
        if record is None:
            raise DataError(f"{self.plan.out}: there is no archive here")
        self._refuse_differences(record, record | self._own_record)
        return record

    @property
    def _own_record(self) -> dict[str, Any]:
        manifest = self.manifest
        return {
            "manifest": {
                "path": manifest.text, "n_rows": manifest.n_rows, "sha256": manifest.digest,
            },
            "part_size": self.plan.part_size,
        }  # fmt: skip

    def _refuse_differences(self, earlier: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        if differing := differences(earlier, record):
            raise DataError(
                f"{self.plan.out} holds an archive with {differing}. An archive is never mixed: "
                "use the same, or choose another output"
            )

    def _refuse_others(self, out: Place) -> None:
        """Raise if what would be written is there, and no record of an archive beside it."""
        pictures = (kind for kind in PICTURES if getattr(self.plan, kind))
        others = {SUMMARY_NAME, FAILURES_NAME, REPORT_NAME, *pictures} & out.list_names()
        if self.list_parts():
            others.add(_PARTS)
        if others and read_record(out) is None:  # not of who began meanwhile
            raise OutputExistsError(
                f"{self.plan.out} holds {', '.join(sorted(others))} and no {RECORD_NAME} that "
                "says of which archive; choose another output"
            )


def read_record(out: Place) -> dict[str, Any] | None:
    """Return the record of an archive, None if there is none; a damaged one is a `DataError`."""
    place = out / RECORD_NAME
    if not place.exists():
        return None
    record = _parse_record(place.read_whole(lambda data: _parse_record(data) is not None))
    if record is None:
        raise DataError(f"{place.text}: no record of an archive; choose another output")
    return record


def _parse_record(data: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(data)
        read_task(record["model"]["task"])
        return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError, EdgesegError):
        return None


def differences(record: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return what differs between what two parts or runs have in common, in words."""
    found = []
    for name, what in _COMMON.items():
        has, wants = (_identity(each.get(name)) for each in (record, other))
        if has != wants:
            found.append(f"another {what} ({short(has)}, now {short(wants)})")
    return "; ".join(found)


def _identity(value: Any) -> Any:
    """Return what tells a value of a record from others: of a file its hash."""
    return value.get("sha256", value) if isinstance(value, dict) else value


def part_schema(task: Task, titles: Sequence[str]) -> Any:
    """Return the schema of a part, for pyarrow: the columns of ``results.csv`` with their types."""
    decimals = table.column_decimals(task)
    types = {title: pa.int64() if decimals.get(title) == 0 else pa.float64() for title in titles}
    types |= {title: pa.string() for title in titles if title in table.TEXTS}
    return pa.schema([*(types | {"frame": pa.int32()}).items()])
