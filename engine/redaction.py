"""What looks like a credential, taken out of a text that is shown or kept: a refusal never repeats one."""

import re

KEY_MARK = "[a private key stood here]"
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}KEY[^\n-]{0,20}-----|\Z)", re.DOTALL
)
_ADDRESSES = (
    # a name and a password; one that was pasted as it is may hold / and @ itself. What follows a port is a path
    re.compile(r"(?<=://)[^\s/@:]{0,200}:(?!\d{1,5}(?:[/?#]|$))\S{0,300}@"),
    # a token in the place of the name
    re.compile(r"(?<=http://)[^\s/?#@]{1,300}@|(?<=https://)[^\s/?#@]{1,300}@"),
)
_PARAMETER = re.compile(r"(?i)(?<=[?&])((?:[a-z_-]{0,20}token|password|passwd|secret|api_?key|key)=)[^\s&#]{1,300}")
_TOKEN = re.compile(r"\b(?:gh[opsur]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,255}")


def redacted(text: str) -> str:
    """`text` with a mark where a password in an address, a private key or a git host's token stood."""
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(KEY_MARK, text)
    if "://" in text:
        for pattern in _ADDRESSES:
            text = pattern.sub("…@", text)
        text = _PARAMETER.sub(r"\1…", text)
    return _TOKEN.sub("…", text)
