r"""Put a model among those edgeseg ships: the file, its hash and its card.

    python -m edgeseg_training.bundle model.onnx pooled.json --split "five folds, out of fold" \
        --train-command "edgeseg train ..." --results benchmarks/results/hc18-edge-fold*.csv

``pooled.json`` is what ``benchmarks/pool.py`` wrote for models of the same recipe and precision,
each scored on images it was not trained on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import edgeseg
from edgeseg.errors import ModelError
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import write_atomic, write_json

_ZOO = Path(edgeseg.__file__).parent / "network" / "zoo"
LIMITS = (
    "Standard-plane images of one hospital and its two machines; expect less on other scanners "
    "(arXiv 2407.20086 reports drops of up to 8 Dice points).",
    "HC is that of the ellipse a single observer drew in each training image: plane and calipers "
    "are taken as given.",
    "Of other fetal planes and of breasts about one in thirty is still measured, one in eighty "
    "without a flag; organs and machines that it was not taught may do worse.",
)


def bundle(
    model: Path,
    pooled: dict[str, Any],
    split: str,
    train_command: str,
    results: str,
    zoo: Path = _ZOO,
) -> dict[str, Any]:
    """Copy a model into the zoo under its name and precision, write its card and return it.

    Parameters
    ----------
    model
        ONNX file written by ``edgeseg export``.
    pooled
        Figures of ``benchmarks/pool.py``, held-out images only.
    split
        Which images those are, in words.
    train_command
        What trains this model again.
    results
        Where the results of each image lie.
    """
    segmenter = Segmenter(model, device="cpu")
    file, metadata = segmenter.file, segmenter.metadata
    # one recipe, one name; its 8-bit form is another model to choose
    data, sizes_mm = metadata.train_data, metadata.train_pixel_size_mm_range
    if data is None or sizes_mm is None:
        raise ModelError(f"{model}: its metadata does not say what it was trained on")
    name = metadata.name + ("-int8" if metadata.precision == "int8" else "")
    target = zoo / f"{name}.onnx"
    error = pooled["hc_error_mm"]
    card = {
        "file": target.name,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "architecture": metadata.architecture,
        "strategy": metadata.strategy,
        "precision": metadata.precision,
        "input_height": metadata.input_height,
        "input_width": metadata.input_width,
        "parameters": metadata.parameters,
        "gmac": metadata.gmac,
        "train_data": {
            "name": data.name,
            "count": data.count,
            "sha256": data.sha256,
            "pixel_size_mm_range": list(sizes_mm),
        },
        "train_command": train_command,
        "metrics": {
            "data": f"{data.name}, {pooled['n_images']} images",
            "split": split,
            "results": results,
            "figures": {
                "dice": pooled["dice"]["mean"],
                "dice_ellipse": pooled["dice_ellipse"]["mean"],
                "hausdorff_mm": pooled["hausdorff_mm"]["mean"],
                "hc_mad_mm": error["mad"],
                "hc_mad_sd_mm": error["mad_sd"],
                "hc_bias_mm": error["bias"],
                "hc_p95_mm": error["p95"],
                "large_error_fraction": pooled["large_error_fraction"],
                "n_refused": pooled["n_refused"],
                "dice_of_measured": pooled["of_measured"]["dice"]["mean"],
                "hc_mad_mm_of_measured": pooled["of_measured"]["hc_error_mm"]["mad"],
                "auroc": pooled["auroc"],
            },
        },
        "licence": metadata.licence,
        "intended_use": metadata.intended_use,
        "limits": list(LIMITS),
    }
    manifest = zoo / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    listed["models"] = dict(sorted((listed["models"] | {name: card}).items()))
    write_atomic(target, model.read_bytes())
    write_json(manifest, listed)
    return card


def _main(
    model: Path,
    pooled: Path,
    split: Annotated[str, typer.Option(help="Which images the figures are of.")],
    train_command: Annotated[str, typer.Option(help="What trains this model again.")],
    results: Annotated[str, typer.Option(help="Where each image's results lie.")],
) -> None:
    """Put a model among those edgeseg ships."""
    figures = json.loads(pooled.read_text(encoding="utf-8"))
    typer.echo(json.dumps(bundle(model, figures, split, train_command, results), indent=2))


if __name__ == "__main__":
    typer.run(_main)
