r"""Train every row of arXiv 2307.09067's table, and print ours beside theirs.

    PYTHONPATH=benchmarks python benchmarks/studies/strategies.py \
        --data HC18 --encoder-weights imagenet --runs runs/strategies
    PYTHONPATH=benchmarks python benchmarks/studies/strategies.py --table

Each run is trained with the paper's recipe (training/paper.toml) except for what the options say,
on all folds but one, and scored on that one. It leaves one JSON under benchmarks/results; a run
that has its own is skipped, one that was killed is continued.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from library.measuring import is_done, measure

from edgeseg.errors import DataError, EdgesegError
from edgeseg.images.image_file import read_gray
from edgeseg.network.adapter import preprocess
from edgeseg.score import metrics
from edgeseg.score.hc18 import Case
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import write_json
from edgeseg_training.config import TrainConfig, load_config

HERE = Path(__file__).parents[1]
FOLDS = HERE / "folds.json"
RESULTS = HERE / "results" / "strategies"
RECIPE = HERE.parent / "training" / "paper.toml"


class Row(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    weights
        Initial encoder: ``imagenet``, ``random`` or ``-`` where there is none.
    paper
        The paper's pixel accuracy, Dice and mIoU with the SD it gives, in percent; None where it
        has no such row.
    seeds
        How many runs are made by default.
    fraction
        Share of the training heads.
    """

    strategy: str
    weights: str
    paper: tuple[str, str, str] | None
    seeds: int = 1
    fraction: float = 1.0

    @property
    def name(self) -> str:
        """Name of the row, also in its files' names."""
        parts = [self.strategy]
        if self.weights == "random":
            parts.append("random")
        if self.fraction < 1:
            parts.append(f"{round(100 * self.fraction)}pct")
        return "-".join(parts)


ROWS = (
    Row("baseline", "-", ("97.33 (0.39)", "95.56 (0.62)", "91.56 (1.16)")),
    Row("decoder", "random", ("91.68 (1.09)", "86.68 (1.06)", "76.70 (1.68)")),
    Row("encoder", "random", ("90.11 (2.60)", "85.67 (3.10)", "75.14 (4.69)")),
    Row("encoder", "imagenet", ("97.65 (0.44)", "96.22 (0.68)", "92.73 (1.26)"), 2),
    Row("decoder-0", "imagenet", ("87.00 (8.55)", "82.46 (8.89)", "70.99 (12.63)")),
    Row("decoder-0-1", "imagenet", ("95.81 (1.74)", "93.27 (2.46)", "87.53 (4.20)")),
    Row("decoder-0-1-2", "imagenet", ("97.16 (0.11)", "95.34 (0.14)", "91.13 (0.26)"), 2),
    Row("decoder-2-3-4", "imagenet", ("88.88 (0.50)", "81.46 (0.53)", "68.85 (0.77)")),
    Row("decoder-4", "imagenet", ("68.31 (1.01)", "37.04 (6.31)", "22.90 (4.61)")),
    Row("decoder", "imagenet", ("97.77 (0.22)", "96.28 (0.38)", "92.87 (0.69)"), 2),
    Row("decoder", "imagenet", ("", "92.19", ""), fraction=0.1),
    Row("decoder", "imagenet", ("", "94.02", ""), fraction=0.3),
    Row("decoder", "imagenet", ("", "95.66", ""), fraction=0.5),
    Row("full", "imagenet", None, 2),
)


def configure(row: Row, seed: int, options: argparse.Namespace) -> TrainConfig:
    """Return the paper's recipe with what a row and the options change."""
    epochs = options.baseline_epochs if row.strategy == "baseline" else options.epochs
    return load_config(RECIPE).updated(
        {
            "name": row.name,
            "strategy": row.strategy,
            "encoder_weights": options.encoder_weights if row.weights == "imagenet" else "none",
            "input_height": options.size,
            "input_width": options.size,
            "precision": options.precision,
            "epochs": epochs,
            "validate_every": epochs,
            "fraction": row.fraction,
            "seed": seed,
            "folds": str(options.folds),
            "fold": options.fold,
        }
    )


def run(row: Row, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one run, or continue it, and return its figures."""
    from edgeseg_training.checkpoint import load_trained
    from edgeseg_training.strategies import apply
    from edgeseg_training.train import train

    config = configure(row, seed, options)
    out = options.runs / f"{row.name}-seed{seed}"
    train(options.data, out, config, resume=True, on_message=print)
    trained = load_trained(out)
    measured = measure(out, out / "model.onnx", options.data, config)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    summary, report = measured.summary, measured.report
    return {
        "row": row.name,
        "initial_encoder": row.weights,
        "seed": seed,
        "config": summary["config"],
        "n_training": trained.facts["data"]["n_training"],
        "trained_parameters": apply(trained.model.network, config.strategy),
        "parameters": report.parameters,
        "gmac": report.gmac,
        "seconds": round(sum(epoch["seconds"] for epoch in record["history"])),
        "data": summary["data"],
        "paper_metrics": pooled_at_input_size(measured.segmenter, measured.cases),
        "metrics": summary["metrics"],
    }


def pooled_at_input_size(segmenter: Segmenter, cases: Sequence[Case]) -> dict[str, float]:
    """Return the paper's metrics as its code took them.

    Every pixel above the threshold counts, at the network's size, pooled over batches of 10 images.
    """
    overlaps = []
    for case in cases:
        gray = read_gray(case.image_path)
        size = (gray.shape[0], gray.shape[1])
        height, width = segmenter.metadata.input_height, segmenter.metadata.input_width
        probability = segmenter.infer(preprocess(gray, height, width))[0, 0]
        reference = case.reference_ellipse(size).resized(size, (height, width))
        mask = (probability >= segmenter.metadata.threshold).astype(np.uint8)
        overlaps.append(metrics.overlap(mask, reference.mask(height, width)))
    return metrics.pooled_by_batch(overlaps)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the rows that have results as a Markdown table, the paper's figures beside ours."""
    lines = [
        "| strategy | initial encoder | images | trained M | runs | PA % | Dice % | mIoU % "
        "| paper: PA | Dice | mIoU | Dice per image % | HC MAD mm | no head |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in ROWS:
        runs = [result for result in results if result["row"] == row.name]
        if not runs:
            continue
        ours = [
            _spread([100 * r["paper_metrics"][key] for r in runs])
            for key in ("pixel_accuracy", "dice", "miou")
        ]
        cells = [
            row.strategy, row.weights, str(runs[0]["n_training"]),
            f"{runs[0]['trained_parameters'] / 1e6:.3g}", str(len(runs)), *ours,
            *(row.paper or ("-",) * 3),
            _spread([100 * r["metrics"]["dice"]["mean"] for r in runs]),
            _spread([r["metrics"]["hc_error_mm"]["mad"] for r in runs]),
            _spread([r["data"]["n_failed"] for r in runs], 0),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean of the runs, with half their range where there are several."""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {np.ptp(values) / 2:.{digits}f}"


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Read what earlier runs left.

    Raises
    ------
    DataError
        If a file is not a result of this script.
    """
    results = []
    for path in paths:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            result["row"], result["config"], result["paper_metrics"], result["metrics"]
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: not a result of {Path(__file__).name}") from None
        results.append(result)
    return results


def planned(options: argparse.Namespace) -> Iterator[tuple[Row, int]]:
    """Yield the runs the options ask for: every row's first seed before any row's second."""
    for seed in range(max(row.seeds for row in ROWS)):
        for row in ROWS:
            chosen = not options.rows or row.name in options.rows
            if chosen and seed < (options.seeds or row.seeds):
                yield row, seed


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description="The table of arXiv 2307.09067, trained again.")
    parser.add_argument("--data", type=Path, help="HC18; without it only the table is printed")
    parser.add_argument("--encoder-weights", default="imagenet", help="imagenet or a .safetensors")
    parser.add_argument("--runs", type=Path, default=Path("runs/strategies"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS])
    parser.add_argument("--seeds", type=int, help="runs of each row; by default two of the best")
    parser.add_argument("--folds", type=Path, default=FOLDS, help="split file")
    parser.add_argument("--fold", type=int, default=0, help="the one to score on")
    parser.add_argument("--size", type=int, default=256, help="the paper's is 512")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--baseline-epochs", type=int, default=20, help="of the 31 M U-Net")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--table", action="store_true", help="print the table and end")
    options = parser.parse_args()
    if not options.table and options.data is None:
        parser.error("--data is needed to train; --table prints what there is")
    try:
        for row, seed in planned(options) if not options.table else ():
            path = options.results / f"{row.name}-seed{seed}.json"
            if is_done(path, configure(row, seed, options)):
                continue
            started = time.perf_counter()
            result = run(row, seed, options)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, result)
            dice, minutes = result["paper_metrics"]["dice"], (time.perf_counter() - started) / 60
            print(f"{row.name} seed {seed}: Dice {100 * dice:.2f}, {minutes:.1f} min", flush=True)  # noqa: T201
        print(table(read_results(sorted(options.results.glob("*.json")))))  # noqa: T201
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
