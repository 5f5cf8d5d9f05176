"""Every prompt and chat format as a file, control tokens, chat templates, traces in prompts."""
