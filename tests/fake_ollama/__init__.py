"""A server that answers as Ollama does, of any of its three eras, with its store on disk.

As a process:         python tests/fake_ollama --era 0.24.0 --store DIR --port N [--answers llamacpp|echo] [--delay S]
In a test's thread:   with fake_ollama("0.34.1", store) as url: …

Killed or stopped, and started again on the same store (also as another era), it has what it had.
"""

from fake_ollama.server import fake_ollama, requests_of, set_faults

__all__ = ["fake_ollama", "requests_of", "set_faults"]
