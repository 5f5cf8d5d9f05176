"""Figures as SVG and PNG: of the trained policy, and of the paper with the rows behind them."""
