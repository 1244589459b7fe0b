"""Who may do what: roles and verbs, four eyes, people, tokens, sign-ins."""
