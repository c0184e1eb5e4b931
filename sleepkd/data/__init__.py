"""What happens once before training (recordings to store), and how training reads it."""
