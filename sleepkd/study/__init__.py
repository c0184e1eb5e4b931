"""The whole table by one command: its plan, the runs, the scores of its rows, its pages."""
