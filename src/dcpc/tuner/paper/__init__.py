"""The machinery of the published form: prefixes in every attention, and the preference correction module."""
