"""Workspaces, servers, tiny models and toy tables that several tests share."""
