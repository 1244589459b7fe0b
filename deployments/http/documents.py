"""What the API answers with."""

from pydantic import BaseModel


class Document(BaseModel):
    """The document of a record, checked once: when it is made.

    A `Schema` of ninja's is checked again as it is sent, each field by a look-up in Python: for a thousand rows that is
    most of the time.
    """
