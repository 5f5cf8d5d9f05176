"""DPO, KTO and SFT by TRL."""
