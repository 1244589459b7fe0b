"""The agent: carries a plan out on a server, keeps a journal, and reverts by itself."""
