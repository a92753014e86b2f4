"""Gray images go into a session, and its answers come out, in as many runs as that takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.errors import ModelError
from edgeseg.network.adapter import BYTES, LARGEST_BATCH, PROBABILITY, TENSOR_TYPES, Adapter, Maps
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.session import Session
from edgeseg.system.text import first_line, is_out_of_memory

_PRESENCE = "presence"
_ROUNDING = 1e-3  # of half-precision and 8-bit networks


class Answers(NamedTuple):
    """What a network answers for N images, in [0, 1]."""

    maps: Maps  # shape (N, C, h, w)
    presence: npt.NDArray[np.float32] | None  # (N,): whether there is one; None if it does not tell


class Port:
    """A session with what its file says of itself: how it is fed, and in how many runs.

    ``adapter`` makes its input and reads its output; ``batch`` is the one batch size that the graph
    takes, None if any. Raises `ModelError` if there is no metadata, it is damaged, or the graph is
    another.
    """

    def __init__(self, session: Session, path: Path) -> None:
        try:
            text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
            inputs, outputs = session.get_inputs(), session.get_outputs()
            got = "; ".join(f"{port.name} {port.type} {port.shape}" for port in (*inputs, *outputs))
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: damaged, its names are no UTF-8 ({error})") from error
        if text is None:
            raise ModelError(
                f"{path}: the model carries no edgeseg metadata, so its normalisation, classes and "
                f"threshold are unknown; add them with 'edgeseg adopt {path} --out FILE --scale 255"
                " --mean 0.485,0.456,0.406 --sd 0.229,0.224,0.225 --activation sigmoid --classes "
                "background,lesion', with the values it was trained with"
            )
        self.metadata = metadata = ModelMetadata.from_json(text)
        if len(inputs) != 1 or not outputs:
            raise ModelError(f"{path}: expected one input and an output, got {got}")
        names = [port.name for port in outputs]
        self.adapter = adapter = metadata.adapter or _guess_adapter(inputs[0], names)
        self._n_structures = n_maps = len(metadata.task.structures)
        foreign = metadata.adapter is not None
        shape = adapter.input_shape(metadata.input_height, metadata.input_width)
        fixed = next((n for n in inputs[0].shape[:1] if isinstance(n, int)), None)
        is_fed = _fits(inputs[0], TENSOR_TYPES[adapter.type], shape, foreign)
        is_fed = is_fed and (fixed is None or 1 <= fixed <= LARGEST_BATCH)
        maps = [port for port in outputs if port.name == adapter.output]
        given = foreign or all(_fits(m, "tensor(float)", (n_maps, None, None), True) for m in maps)
        if not (is_fed and maps and given):
            gives = "" if foreign else f" tensor(float) of shape (N, {n_maps}, h, w)"
            raise ModelError(
                f"{path}: expected one input {TENSOR_TYPES[adapter.type]} of shape (N, "
                f"{', '.join(map(str, shape))}) and an output {adapter.output!r}{gives}, got {got}"
            )
        self.batch = fixed or adapter.batch
        self.session, self.input_name = session, inputs[0].name
        self.output_names = [adapter.output, *(name for name in names if name == _PRESENCE)]

    def run(self, tensor: npt.NDArray[np.uint8]) -> Answers:
        """Run gray images, (N, 1, h, w), uint8.

        `ModelError` if the network fails, or gives anything but probabilities of each image.
        """
        fed = self.adapter.make_input(tensor)
        # A last part that is too short is filled up with images that are then thrown away.
        batch = self.batch or len(fed)
        filled = np.concatenate([fed, *[fed[-1:]] * (-len(fed) % batch)])
        parts = np.split(filled, len(filled) // batch)
        maps, presence = zip(*map(self._run_once, parts), strict=True)
        return Answers(
            np.concatenate(maps)[: len(fed)],
            None if presence[0] is None else np.concatenate(presence)[: len(fed)],
        )

    def _run_once(self, fed: npt.NDArray[Any]) -> Answers:
        try:
            output, *others = self.session.run(self.output_names, {self.input_name: fed})
            maps = self.adapter.read_maps(output, self._n_structures)
            presence = others[0].reshape(len(fed)) if others else None
        except ModelError:
            raise
        except Exception as error:  # the engines' own exceptions share no base but this
            if is_out_of_memory(error):
                raise MemoryError(first_line(error)) from error
            raise ModelError(f"the network failed on this image: {first_line(error)}") from error
        expected = (len(fed), self._n_structures)
        if maps.ndim != 4 or maps.shape[:2] != expected or not maps.size:
            text = f"the model answers with shape {maps.shape}; expected {expected} and two sides"
            raise ModelError(text)
        values = [maps] if presence is None else [maps, presence]
        low = float(np.min([each.min() for each in values]))
        high = float(np.max([each.max() for each in values]))
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN is neither
            raise ModelError(
                f"the model's answers run from {low:.3g} to {high:.3g}; expected probabilities "
                "from 0 to 1. If these are logits, 'edgeseg adopt' adds the network's activation"
            )
        return Answers(maps, presence)


def _guess_adapter(taken: Any, outputs: list[str]) -> Adapter:
    """Return how a network is fed whose metadata does not say: bytes, or gray / 255 as floats."""
    output = PROBABILITY if len(outputs) > 1 else outputs[0]
    if taken.type == TENSOR_TYPES[BYTES]:
        return Adapter(output)
    return Adapter(output, "float32", channels=3 if list(taken.shape[1:2]) == [3] else 1)


def _fits(port: Any, kind: str, shape: tuple[int | None, ...], may_vary: bool) -> bool:
    """Tell whether a port has this type and, behind the batch, these lengths; None is any."""
    lengths = port.shape[1:]
    return (port.type, len(lengths)) == (kind, len(shape)) and all(
        wants in (None, has) or (may_vary and not isinstance(has, int))
        for has, wants in zip(lengths, shape, strict=True)
    )
