"""Speed and memory of models on this machine, and whether a model file is sound."""
