"""Put a model among those edgeseg ships: the file, its hash and its card.

python -m edgeseg_training.bundle model.onnx scores.json --split "fold 0 of benchmarks/folds.json"

``scores.json`` is what ``edgeseg evaluate --json`` wrote for that very file.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

import edgeseg
from edgeseg.errors import DataError
from edgeseg.files import write_json
from edgeseg.segmenter import Segmenter

_ZOO = Path(edgeseg.__file__).parent / "zoo"


def bundle(model: Path, scores: dict[str, Any], split: str, zoo: Path = _ZOO) -> dict[str, Any]:
    """Copy a model into the zoo under its own name and write its card; return the card.

    Parameters
    ----------
    model
        ONNX file written by ``edgeseg export``.
    scores
        Evaluation of that file, held-out images only.
    split
        Which images those are, in words.

    Raises
    ------
    DataError
        If the scores are of another file.
    """
    segmenter = Segmenter(model, device="cpu")
    file, metadata = segmenter.file, segmenter.metadata
    if scores["model"]["sha256"] != file.sha256:
        raise DataError(f"the scores are of another file than {model}; evaluate it again")
    metrics, error = scores["metrics"], scores["metrics"]["hc_error_mm"]
    target = zoo / f"{metadata.name}.onnx"
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
            "name": metadata.train_data.name,
            "count": metadata.train_data.count,
            "sha256": metadata.train_data.sha256,
        },
        "metrics": {
            "data": f"{metadata.train_data.name}, {scores['data']['n_images']} images",
            "split": split,
            "figures": {
                "dice": metrics["dice"]["mean"],
                "dice_ellipse": metrics["dice_ellipse"]["mean"],
                "hausdorff_mm": metrics["hausdorff_mm"]["mean"],
                "hc_mad_mm": error["mad"],
                "hc_mad_sd_mm": error["mad_sd"],
                "hc_bias_mm": error["bias"],
                "paper_dice": scores["paper_metrics"]["dice"],
            },
        },
        "licence": metadata.licence,
        "intended_use": metadata.intended_use,
    }
    manifest = zoo / "manifest.json"
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    listed["models"][metadata.name] = card
    shutil.copyfile(model, target)
    write_json(manifest, listed)
    return card


def _main(
    model: Path,
    scores: Path,
    split: Annotated[str, typer.Option(help="Which images the scores are of.")],
) -> None:
    """Put a model among those edgeseg ships."""
    card = bundle(model, json.loads(scores.read_text(encoding="utf-8")), split)
    typer.echo(json.dumps(card, indent=2))


if __name__ == "__main__":
    typer.run(_main)
