"""Let a public key in for whoever runs this, or take it out: let_in|take_out LINE.

Prints whether anything had to be changed. Comments are no keys; other people's lines stay as they are, and the file is
never without them.
"""

import os
import pwd
import sys

verb, key = sys.argv[1:]
path = os.path.realpath(os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".ssh", "authorized_keys"))
with open(path, encoding="utf-8", errors="surrogateescape") as file:
    lines = file.read().splitlines()
ours = [line for line in lines if key.split()[1] in line.split() and not line.lstrip().startswith("#")]
if bool(ours) == (verb == "let_in"):
    print("unchanged")
    sys.exit()
kept = [line for line in lines if line not in ours] + ([key] if verb == "let_in" else [])
fresh = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with open(fresh, "w", encoding="utf-8", errors="surrogateescape") as file:
    file.write("".join(line + "\n" for line in kept))
    file.flush()
    os.fsync(file.fileno())
os.rename(path + ".new", path)
os.fsync(os.open(os.path.dirname(path), os.O_RDONLY))
print("changed")
