"""What every other package stands on: images, errors, the registry, the device, tiles, metrics, files."""
