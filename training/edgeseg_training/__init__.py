"""Training and export of edgeseg models; needs the ``train`` extra."""
