"""The report page: one HTML file without scripts that loads nothing."""
