"""Networks, losses, split batch norm, averaging, augmentation and the training loop. Needs torch alone."""
