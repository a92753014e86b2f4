"""Cross-validate a recipe: train it without each fold, measure that fold, pool the folds.

    python benchmarks/crossval.py training/hc18.toml --data HC18
    python benchmarks/crossval.py training/hc18.toml --data HC18 --folds 0 3 --precisions fp16

Every fold leaves its model as ``folds/NAME-foldK.onnx`` and its scores as ``.csv`` (a row an image)
and ``.json`` under ``results``; int8 is named NAME-int8. Once all folds are there, they are pooled
into ``results/NAME.json``. A fold that has its results is skipped and a run that was killed is
continued. Several processes may work at once, each on ``--folds`` of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from library.measuring import is_done, measure
from pool import pool, read_rows

from edgeseg.errors import EdgesegError
from edgeseg.score.evaluate import write_csv
from edgeseg.score.folds import read_folds
from edgeseg.system.files import write_json
from edgeseg_training.config import TrainConfig, load_config

HERE = Path(__file__).parent
PRECISIONS = ("fp32", "fp16", "int8")


def model_name(name: str, precision: str) -> str:
    """Return the name of a recipe's model in a precision; fp16 is what is shipped."""
    return name if precision == "fp16" else f"{name}-{precision}"


def measure_fold(config: TrainConfig, options: argparse.Namespace) -> None:
    """Train without one fold, or continue, and measure that fold in every precision asked for."""
    from edgeseg_training.train import train

    stems = {p: f"{model_name(config.name, p)}-fold{config.fold}" for p in options.precisions}
    missing = {
        precision: stem
        for precision, stem in stems.items()
        if not is_done(options.results / f"{stem}.json", config)
        or not (options.results / f"{stem}.csv").is_file()
    }
    if not missing:
        return
    run = options.runs / f"{config.name}-fold{config.fold}"
    # the fold that is measured must not choose the epoch
    train(options.data, run, config.updated({"validate_every": config.epochs}), resume=True)
    for precision, stem in missing.items():
        path, onnx = options.results / f"{stem}.csv", options.models / f"{stem}.onnx"
        measured = measure(run, onnx, options.data, config, precision)
        write_csv(path, measured.scores)
        write_json(path.with_suffix(".json"), measured.summary)
        metrics = measured.summary["metrics"]
        print(  # noqa: T201
            f"{stem}: Dice {100 * metrics['dice']['mean']:.2f} %, HC MAD "
            f"{metrics['hc_error_mm']['mad']:.3f} mm, bias {metrics['hc_error_mm']['bias']:+.3f}",
            flush=True,
        )


def pool_folds(name: str, count: int, results: Path) -> None:
    """Pool a model's folds into ``results/NAME.json``, if all are there."""
    paths = [results / f"{name}-fold{fold}.csv" for fold in range(count)]
    if all(path.is_file() for path in paths):
        figures = pool(read_rows(paths))
        write_json(results / f"{name}.json", figures)
        print(f"{name}: {figures['hc_error_mm']}")  # noqa: T201


def main() -> None:
    """Train and measure what is missing, then pool."""
    parser = argparse.ArgumentParser(description="Cross-validate a recipe on the folds.")
    parser.add_argument("recipe", type=Path, help="TOML file of edgeseg train")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder-weights", help="a .safetensors instead of the recipe's")
    parser.add_argument("--split", type=Path, default=HERE / "folds.json", help="split file")
    parser.add_argument("--folds", type=int, nargs="+", help="all, unless told")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["fp16", "int8"])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--models", type=Path, default=HERE / "folds", help="where models go")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    try:
        config = load_config(options.recipe).updated({"folds": str(options.split)})
        if options.encoder_weights:
            config = config.updated({"encoder_weights": options.encoder_weights})
        count = len(read_folds(options.split))
        folds = range(count) if options.folds is None else options.folds
        if not set(folds) <= set(range(count)):
            parser.error(f"--folds {folds}: the split has folds 0 to {count - 1}")
        for fold in folds:
            measure_fold(config.updated({"fold": fold}), options)
        for precision in options.precisions:
            pool_folds(model_name(config.name, precision), count, options.results)
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
