"""Makes the server class of the service tests available."""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / 'service'))
