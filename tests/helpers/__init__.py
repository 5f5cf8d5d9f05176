"""What several tests share: workspaces, servers, tiny models, toy tables."""
