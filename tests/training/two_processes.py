"""`python -m edgeseg` for `test_distributed`, with all batch-norm layers frozen.

Statistics of a batch's share are not those of the batch, so that only without them two processes
can do what one does. EDGESEG_TEST_KILL=1 kills the first process as it records its first epoch.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from torch import nn

import edgeseg.cli
from edgeseg_training import strategies
from edgeseg_training.record import Run


def all_batchnorms(network: nn.Module, strategy: str) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


class KilledRun(Run):
    def write(self, status: str, history: list[dict[str, Any]]) -> None:
        super().write(status, history)
        if history:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    strategies.frozen_batchnorms = all_batchnorms
    if os.environ.get("EDGESEG_TEST_KILL"):
        from edgeseg_training import train

        train.Run = KilledRun  # type: ignore[misc]
    edgeseg.cli.main()
