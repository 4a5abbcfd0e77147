"""Methods compared on one's own annotations: same splits, same search, several seeds, tested differences."""
