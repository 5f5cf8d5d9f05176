"""Train with DPO, KTO or SFT by TRL."""
