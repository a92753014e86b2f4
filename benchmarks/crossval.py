"""Cross-validate a recipe: train it without each fold, measure that fold, pool the folds.

    python benchmarks/crossval.py training/hc18.toml --data HC18
    python benchmarks/crossval.py training/hc18.toml --data HC18 --folds 0 3 --precisions fp16

Every fold leaves ``results/NAME-foldK.csv`` (a row an image) and ``.json``; ``int8`` is named
NAME-int8. Once all folds are there, they are pooled into ``results/NAME.json``. A fold that has its
results is skipped, a training run that was killed is continued, so several processes may share the
folds out among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pool import pool, read_rows

from edgeseg import hc18
from edgeseg.errors import EdgesegError
from edgeseg.evaluate import score_all, summarize, write_csv
from edgeseg.files import write_json
from edgeseg.segmenter import Segmenter

HERE = Path(__file__).parent
FOLDS = HERE / "folds.json"
RESULTS = HERE / "results"


def model_name(name: str, precision: str) -> str:
    """Return the name of a recipe's model: its 8-bit form is another one."""
    return f"{name}-int8" if precision == "int8" else name


def measure_fold(options: argparse.Namespace, fold: int) -> None:
    """Train without one fold, or continue, and measure that fold in every precision asked for."""
    from edgeseg_training.config import load_config
    from edgeseg_training.export import export
    from edgeseg_training.train import train

    values = {"fold": fold, "folds": str(options.split)}
    if options.encoder_weights:
        values["encoder_weights"] = options.encoder_weights
    config = load_config(options.recipe).updated(values)
    wanted = {p: options.results / f"{model_name(config.name, p)}-fold{fold}.csv"
              for p in options.precisions}  # fmt: skip
    missing = {p: path for p, path in wanted.items() if not path.is_file()}
    if not missing:
        return
    run = options.runs / f"{config.name}-fold{fold}"
    train(options.data, run, config, resume=True)
    cases = hc18.select_fold(hc18.load_cases(options.data), hc18.read_folds(options.split), fold)
    for precision, path in missing.items():
        onnx = run / f"{model_name(config.name, precision)}.onnx"
        export(run, onnx, precision=precision, calibration_data=options.data, overwrite=True)
        segmenter = Segmenter(onnx, device="cpu")
        scores = score_all(segmenter, cases)
        summary = summarize(segmenter, cases, scores, threads=0)
        write_json(path.with_suffix(".json"), summary)
        write_csv(path, scores)
        error = summary["metrics"]["hc_error_mm"]
        print(  # noqa: T201
            f"{path.stem}: Dice {100 * summary['metrics']['dice']['mean']:.2f} %, "
            f"HC MAD {error['mad']:.3f} mm, bias {error['bias']:+.3f}",
            flush=True,
        )


def pool_folds(name: str, count: int, results: Path) -> dict[str, object] | None:
    """Pool a model's folds into ``results/NAME.json``; return None while one is missing."""
    paths = [results / f"{name}-fold{fold}.csv" for fold in range(count)]
    if not all(path.is_file() for path in paths):
        return None
    figures = pool(read_rows(paths))
    write_json(results / f"{name}.json", figures)
    return figures


def main() -> None:
    """Train and measure what is missing, then pool."""
    parser = argparse.ArgumentParser(description="Cross-validate a recipe on the folds.")
    parser.add_argument("recipe", type=Path, help="TOML file of edgeseg train")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder-weights", help="a .safetensors instead of the recipe's")
    parser.add_argument("--split", type=Path, default=FOLDS, help="split file")
    parser.add_argument("--folds", type=int, nargs="+", help="all, unless told")
    parser.add_argument("--precisions", nargs="+", default=["fp16", "int8"])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        from edgeseg_training.config import load_config

        count = len(hc18.read_folds(options.split))
        for fold in range(count) if options.folds is None else options.folds:
            measure_fold(options, fold)
        for precision in options.precisions:
            name = model_name(load_config(options.recipe).name, precision)
            if figures := pool_folds(name, count, options.results):
                print(f"{name}: {figures['hc_error_mm']}")  # noqa: T201
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
