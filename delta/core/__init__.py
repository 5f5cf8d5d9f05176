"""Used by all rooms: errors, parameters, table schemas, files, paths, console."""
