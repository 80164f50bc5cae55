"""The model file that comes with Roundhouse: scripted, for a first try and for tests."""

from pathlib import Path

import service.demo

DEMO_FILE = Path(service.demo.__file__).with_name("demo.gguf")
