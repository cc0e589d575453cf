"""Files: caches that several processes share, atomic writes, images."""
