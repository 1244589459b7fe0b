"""Start the agent of a directory: DIRECTORY MODULE VERB.

Imported rather than run, so that Python takes the compiled form beside it when there is one: 0.1 s saved.
"""

import sys

sys.path.append(sys.argv[1])
try:
    agent = __import__(sys.argv[2])
except ModuleNotFoundError:
    print('{"kind": "agent_missing"}')
else:
    agent.main(sys.argv[3:])
