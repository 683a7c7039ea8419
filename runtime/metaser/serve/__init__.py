"""A local server: live labels, clips and profiles for programs, over HTTP and WebSocket.

One port, one process per worker. `app.create_app` makes the ASGI application and `run.serve` runs it. Needs the extra
`serve`.
"""
