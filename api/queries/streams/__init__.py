"""Live streams: what happens to tickets, told as it happens, over lines that stay open."""
