"""A student compared with its teacher and its baseline: numbers, bottleneck features, figures."""
