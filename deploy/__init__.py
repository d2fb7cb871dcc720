"""What an installation needs beside the code: generators of the files that list capabilities."""
