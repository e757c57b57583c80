"""The order book on SQLite or PostgreSQL: what the product remembers for ever."""
