"""What the servers that tenants are on have in common: each may be away."""


class ServerDown(Exception):
    """A server did not answer, or broke off in the middle. The message is fit for operators, and has no password."""
