"""What a run is besides its arithmetic: settings, state, checkpoints, its folder, its log."""
