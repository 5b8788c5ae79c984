"""CEL, the Common Expression Language, over JSON values, with every cost counted.

The language is defined at https://github.com/google/cel-spec (langdef.md). Left out is what JSON
does not have: unsigned numbers, bytes, messages and types as values.
``docs/decisions/automations.md`` says why this is no library.
"""
