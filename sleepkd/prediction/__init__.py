"""From a trained network and anyone's recording to a staged night."""
