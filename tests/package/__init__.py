"""The packages in clean roots of Debian: built from source, and installed beside today's dracut."""
