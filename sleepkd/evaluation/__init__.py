"""From predictions to scores, pictures and the report."""
