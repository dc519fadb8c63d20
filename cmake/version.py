#!/usr/bin/env python3
"""Prints the version that config.hpp holds."""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "..", "include", "strait", "detail", "config.hpp")) as file:
    text = file.read()
print(".".join(re.search(rf"STRAIT_VERSION_{part} (\d+)", text)[1]
               for part in ("MAJOR", "MINOR", "PATCH")))
