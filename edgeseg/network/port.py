"""How images go into a session, and what it answers comes out, in as many runs as that takes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg.errors import ModelError
from edgeseg.network.answers import Answers
from edgeseg.network.session import Session, find_outputs
from edgeseg.system.text import first_line

_PRESENCE = "presence"


class Port(NamedTuple):
    """How a session is fed, and in how many runs.

    Attributes
    ----------
    input_name, output_names
        Of the image, and of the maps and, where there is one, the presence.
    channels
        Channels of a float input, which takes gray values over 255; None of the uint8 gray input
        that edgeseg writes.
    batch
        The one batch size that the graph takes; None if any.
    """

    input_name: str
    output_names: tuple[str, ...]
    channels: int | None
    batch: int | None

    def run(self, session: Session, tensor: npt.NDArray[np.uint8]) -> Answers:
        """Run gray images, (N, 1, h, w), uint8."""
        fed: npt.NDArray[Any] = tensor
        if self.channels is not None:
            fed = np.repeat(tensor.astype(np.float32) / 255, self.channels, axis=1)
        if self.batch is None or self.batch == len(fed):
            return self._once(session, fed)
        # A last part that is too short is filled up with images that are then thrown away.
        lacking = -len(fed) % self.batch
        filled = np.concatenate([fed, *[fed[-1:]] * lacking])
        answers = [
            self._once(session, part) for part in np.split(filled, len(filled) // self.batch)
        ]
        presences = [answer.presence for answer in answers if answer.presence is not None]
        return Answers(
            np.concatenate([answer.maps for answer in answers])[: len(fed)],
            np.concatenate(presences)[: len(fed)] if presences else None,
        )

    def _once(self, session: Session, fed: npt.NDArray[Any]) -> Answers:
        try:
            maps, *others = session.run(list(self.output_names), {self.input_name: fed})
        except Exception as error:  # the engines' own exceptions share no base but this
            raise ModelError(f"the network failed on this image: {first_line(error)}") from error
        return Answers(maps, others[0].reshape(len(fed)) if others else None)


def read_port(session: Session) -> Port:
    """Return how a session that `read_metadata` has accepted is fed."""
    (given,), (found,) = session.get_inputs(), find_outputs(session)
    batch, channels = given.shape[:2]
    says = [output.name for output in session.get_outputs() if output.name == _PRESENCE]
    return Port(
        given.name,
        (found.name, *says),
        channels if given.type == "tensor(float)" else None,
        batch if isinstance(batch, int) else None,
    )
