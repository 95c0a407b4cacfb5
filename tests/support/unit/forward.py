"""
Stands in for the load balancers' listener: forward.py PORT FILE sends each connection to the port of this
machine that the file names at that moment. Connections of before end once the file names another.
"""
import socket
import sys
import threading
import time

own, path = int(sys.argv[1]), sys.argv[2]


def target():
    with open(path) as file:
        return int(file.read() or 0)


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for one in (source, sink):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def watch(port, *both):
    while target() == port and both[0].fileno() >= 0:
        time.sleep(0.1)
    for one in both:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


listener = socket.create_server(("127.0.0.1", own))
while True:
    client, _ = listener.accept()
    try:
        port = target()
        server = socket.create_connection(("127.0.0.1", port))
    except OSError:
        client.close()
        continue
    for work in ((pump, client, server), (pump, server, client), (watch, port, client, server)):
        threading.Thread(target=work[0], args=work[1:], daemon=True).start()
