"""Figures of the trained policy and of the paper, as SVG and PNG."""
