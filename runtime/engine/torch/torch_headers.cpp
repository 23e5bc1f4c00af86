// Nothing of its own: this target exists to compile LibTorch's headers once.
