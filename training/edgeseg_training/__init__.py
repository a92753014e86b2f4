"""Training and export of edgeseg models; needs the ``train`` extra."""

import edgeseg  # noqa: F401  (before onnxruntime is imported, whose telemetry it switches off)
