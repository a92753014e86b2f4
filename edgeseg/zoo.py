"""Public: the bundled models, by name, ``zoo.find("hc18-edge").path``."""

from edgeseg.network.zoo import DEFAULT_MODEL, ModelFile, find, manifest

__all__ = ["DEFAULT_MODEL", "ModelFile", "find", "manifest"]
