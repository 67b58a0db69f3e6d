"""The drift audit."""
