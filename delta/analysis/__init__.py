"""How far the judge and the deltas can be trusted (paper, section 3.1.2): the stage analyze."""
