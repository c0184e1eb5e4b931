"""What a student took from its teacher."""
