"""What a training stage is made of: taps, losses, student and teacher."""
