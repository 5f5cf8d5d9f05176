"""The README, the set-up, launch files and the security rules."""
