"""Room llm: OpenAI chat completions from llama.cpp and Ollama."""
