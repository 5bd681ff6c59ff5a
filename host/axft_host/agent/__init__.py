"""The board's end of the link: a supervisor that holds sessions, and a worker that alone touches the fabric."""
