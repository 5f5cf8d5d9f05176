"""The stage analyze measures how reliable the judge and the deltas are (paper, section 3.1.2)."""
