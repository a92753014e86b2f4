"""Predictions against labels: data sets, metrics, evaluation, the challenge's file."""
