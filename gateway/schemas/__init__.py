"""Bodies of requests and answers, as pydantic models: validation and OpenAPI from one source."""
