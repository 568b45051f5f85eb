"""An API and a page for a team: one model, kept loaded, for whoever may reach it.

`settings` says what a request may cost and how one is refused, `requests` what is asked and answered, as JSON and as
OpenAPI; `uploads` takes in the bodies of requests, `batches` decodes and computes for many of them at once, `metrics`
counts and logs, `gate` stands before all of it, `app` is the whole, `listen` the socket. `clips` are the page's
examples. This needs the extra `serve`.
"""
