"""The server: one process, 32 threads. Each browser that watches keeps one of them (webapp/status.py), each upload too."""

wsgi_app = "webapp.wsgi"
worker_class, workers, threads = "gthread", 1, 32
graceful_timeout = 1  # who watches is not waited for, and uploads can be sent again
loglevel = "warning"
control_socket_disable = True
