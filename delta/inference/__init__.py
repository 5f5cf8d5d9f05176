"""Engines that answer requests, chat formats, the reply cache, and the stage generate."""
