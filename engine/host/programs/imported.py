"""Run the program that lies beside this one as NAME-program.py.

Imported rather than run, so that Python takes the compiled form that root keeps of it, and compiles nothing.
"""

import sys

directory, _, name = __file__.rpartition("/")
sys.path.append(directory)
__import__(name + "-program").main()
