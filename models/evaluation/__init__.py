"""How good a model is: scores, calibration, reports."""
