"""Pictures of nights and of scores."""
