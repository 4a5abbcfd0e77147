"""Methods to compare with: one small file each, with its source."""
