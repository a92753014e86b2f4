"""What the scripts beside this folder have in common; none of it is a script to run by hand."""

import edgeseg  # noqa: F401  (before onnxruntime is imported, whose telemetry it switches off)
