"""The one error that a user can mend."""


class UserError(Exception):
    """Bad input: one line that says what is wrong and how to mend it. Jobs print it and exit with 2."""
