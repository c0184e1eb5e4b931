"""Evaluation: from predictions to scores, figures and the report."""
