"""Public: what a model file says of itself, for those who write it into a model of their own."""

from edgeseg.network.metadata import METADATA_KEY, ModelMetadata, TrainData
from edgeseg.network.task import Task

__all__ = ["METADATA_KEY", "ModelMetadata", "Task", "TrainData"]
