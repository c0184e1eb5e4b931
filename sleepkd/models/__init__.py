"""Networks that map windows (B, n, samples) to logits (B, n, K)."""
