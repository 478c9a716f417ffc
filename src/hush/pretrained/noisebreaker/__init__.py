"""NoiseBreaker's parts that were trained beforehand: the classifier of noise, and a denoiser for each class."""
