"""The desk: what a fact or a command means for a ticket. Pure rules in `life` and `opening`; `desk` asks them inside one transaction."""
