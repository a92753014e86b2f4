"""What measuring an archive in parts costs beside a folder: alone, in processes, and on Ray.

    python benchmarks/archive.py --data HC18 --repeats 5

The labelled images of HC18, listed several times, measured without pictures by `edgeseg infer` and
by `edgeseg archive` in parts of 1,000: with one thread, all cores, a process for each core, and on
a local cluster of Ray; and once in parts of 100, for its first part. CPU time is that of the whole
machine while a row runs, since processes of Ray are nobody's children, so nothing else may run
meanwhile; start and end are in it. Rows take turns. Prints Markdown, and leaves
``results/archive.json``, or of another name.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from library.archives import PIXEL_SIZE_MM, listed
from library.processes import EDGESEG, write_result

from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.system.parallel import usable_cores


def busy_s() -> float:
    """Return the CPU seconds that this machine has spent since it started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def first_part_s(parts: Path, started_s: float, ended: threading.Event, found: list[float]) -> None:
    """Note when the first part is there."""
    while not ended.wait(0.02):
        if parts.is_dir() and any(parts.glob("*.parquet")):
            found.append(time.perf_counter() - started_s)
            return


def measure(command: list[str], out: Path) -> dict[str, float]:
    """Run a command that writes into a folder; return its seconds, and those of its first part."""
    found: list[float] = []
    ended = threading.Event()
    before_s, started_s = busy_s(), time.perf_counter()
    looking = threading.Thread(target=first_part_s, args=(out / "parts", started_s, ended, found))
    looking.start()
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, check=False)
    wall_s = time.perf_counter() - started_s
    cpu_s = busy_s() - before_s
    ended.set()
    looking.join()
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode()}")
    return {"wall_s": wall_s, "cpu_s": cpu_s, **({"first_part_s": found[0]} if found else {})}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="What measuring in parts costs.")
    parser.add_argument("--data", type=Path, required=True, help="HC18 folder")
    parser.add_argument("--model", default="hc18-nano")
    parser.add_argument("--repeats", type=int, default=5, help="times the images are listed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part-size", type=int, default=1000)
    parser.add_argument("--rows", default="", help="only those whose names begin so")
    parser.add_argument("--result", default="archive", help="name of its file")
    options = parser.parse_args()
    cores = str(usable_cores())
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        inputs = listed(options.data, options.repeats, top)
        manifest = top / "m.parquet"
        made = write_manifest(inputs, place_of(str(manifest)), PIXEL_SIZE_MM)
        sized = ["--pixel-size", str(PIXEL_SIZE_MM)]
        infer = [*EDGESEG, "infer", *inputs, "--no-masks", "--no-overlays", *sized]
        archive = [*EDGESEG, "archive", str(manifest), "--part-size", str(options.part_size)]
        rows = {
            "infer, all cores": infer,
            "archive, one thread": [*archive, "--threads", "1"],
            "archive, all cores": archive,
            "archive, all cores, parts of 100": [*archive, "--part-size", "100"],
            "archive, a process a core": [*archive, "--processes", cores],
            "Ray, one core": [*archive, "--ray", "local", "--threads", "1"],
            "Ray, all cores": [*archive, "--ray", "local", "--threads", cores],
        }
        rows = {name: rows[name] for name in rows if name.startswith(options.rows)}
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
        for turn in range(options.rounds):
            for number, (name, command) in enumerate(rows.items()):
                told = ["--model", options.model, "--device", "cpu"]
                measured[name].append(measure([*command, *told], top / f"{turn}-{number}"))
                print(name, measured[name][-1], flush=True)  # noqa: T201
    result = [row(name, runs, made.n_frames) for name, runs in measured.items()]
    write_result(
        options.result, {"n_frames": made.n_frames, "rounds": options.rounds, "rows": result}
    )
    print("| | s | images/s | CPU ms an image | first part (s) | of the run |")  # noqa: T201
    print("|---|--:|--:|--:|--:|--:|")  # noqa: T201
    for line in result:
        first = line.get("first_part_s", "")
        share = f"{first / line['wall_s']:.0%}" if first else ""
        figures = line["wall_s"], line["images_per_s"], line["cpu_ms_per_image"], first, share
        print(f"| {line['row']} | {' | '.join(map(str, figures))} |")  # noqa: T201


def row(name: str, runs: list[dict[str, float]], n_frames: int) -> dict[str, Any]:
    """Return the medians of a row's runs."""
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {
        "row": name,
        "images_per_s": round(n_frames / medians["wall_s"], 1),
        "cpu_ms_per_image": round(1000 * medians["cpu_s"] / n_frames, 2),
        **{key: round(value, 2) for key, value in medians.items()},
    }


if __name__ == "__main__":
    main()
