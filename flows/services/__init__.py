"""What a run needs beside it: Prefect's server, the tracking store, their pages."""
