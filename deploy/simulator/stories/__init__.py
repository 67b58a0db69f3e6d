"""What happens in one contact, told channel by channel from dice: people, words, calls, chats, letters, forms, orders. Pure."""
