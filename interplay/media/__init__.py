"""Pictures in and out: limits, decoding, encoding, drawing, and fetching by URL."""
