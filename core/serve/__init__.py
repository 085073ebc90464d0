"""The gateway: an HTTP server that speaks Ollama's API and the OpenAI-compatible one, passes requests on and records.

A request goes through `guard` (who may call), `route` (which version answers) and an `Upstream` (Ollama, or llama.cpp
inside). What came back is written to the `journal` before its last bytes leave, and everything else (judging,
storing, shadow tests) happens afterwards, where no caller waits for it.
"""
