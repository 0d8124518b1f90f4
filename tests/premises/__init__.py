"""What Torpor takes for granted about Linux, tested without our code: a new kernel may break it."""
