// Exists to hold the precompiled LibTorch headers of the trainer.
