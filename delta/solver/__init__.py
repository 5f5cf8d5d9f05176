"""Worked solutions of arithmetic problems, right ones and ones with faults at known rates."""
