"""Read models: a table, how events fold into it, the questions it answers; and how far each has come."""
