"""Studies of many training runs: the paper's table and label efficiency, over one runner."""
