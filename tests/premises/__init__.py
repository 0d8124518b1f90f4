"""What Torpor takes for granted about Linux: it holds without our code, until a kernel changes."""
