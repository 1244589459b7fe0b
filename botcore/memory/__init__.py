"""What the bot remembers in bot.db (SQLite)."""
