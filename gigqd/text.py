"""Text from outside, made safe to show."""


def printable(text: str, keep: str = "") -> str:
    """Text without anything that a terminal would obey instead of show.

    Args:
        text: any text, also with control characters, direction marks or lone surrogates.
        keep: characters that stay as they are although they are not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
