"""Files: caches that several processes share, atomic writes, images."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""What the name of a file ends in that is read as an image, in lower case."""
