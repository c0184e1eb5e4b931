"""From predictions to scores, figures and reports."""
