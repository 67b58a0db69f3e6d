"""Time as the hotline counts it: pure functions over calendars and moments."""
