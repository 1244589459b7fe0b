"""Run a check of the release that is live, with secrets that are not delivered yet: TREE SECONDS RELEASE.

The secrets come over standard input and lie in memory, below a directory that only this account can enter.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

os.umask(0o077)
tree, timeout, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3]
request = json.load(sys.stdin)
release = os.path.realpath(os.path.join(tree, "current"))
if os.path.basename(release) != wanted:
    print("%s runs %s, not %s." % (os.uname().nodename, os.path.basename(release), wanted))
    sys.exit(3)
directory = tempfile.mkdtemp(prefix="trial-", dir="/dev/shm")
try:
    for folder in ("config", "credentials", "data"):
        os.mkdir(os.path.join(directory, folder))
    for folder in ("config", "credentials"):
        for name, text in request[folder].items():
            with open(os.path.join(directory, folder, name), "w", encoding="utf-8") as file:
                file.write(text)
    places = {"{release}": release, "{config}": directory + "/config", "{data}": directory + "/data"}
    argv = request["argv"]
    for placeholder, path in places.items():
        argv = [word.replace(placeholder, path) for word in argv]
    own = os.path.join(release, ".envs", request["role"], "bin")
    environment = {
        "PATH": own + ":/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": directory,
        "PYTHONDONTWRITEBYTECODE": "1",
        "CREDENTIALS_DIRECTORY": directory + "/credentials",
    }
    if os.path.exists(os.path.join(own, argv[0])):
        argv[0] = os.path.join(own, argv[0])
    try:
        done = subprocess.run(
            argv,
            cwd=release,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print("It did not end within %d s." % timeout)
        sys.exit(124)
finally:
    shutil.rmtree(directory)
sys.stdout.buffer.write(done.stdout[-4000:])
sys.stdout.flush()
sys.exit(done.returncode)
