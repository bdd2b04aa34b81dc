"""The leak check: what a job left behind in its worker process."""
