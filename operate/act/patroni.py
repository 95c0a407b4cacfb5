"""Asks a member's Patroni to change something, with the certificate and password of the member where it runs.

Arguments: Patroni's file, the method, the URL, the body, and seconds to wait. Standard output: what Patroni
says; exit code 1 where it refuses, 3 where it cannot be reached.
"""
import base64
import ssl
import sys
import urllib.error
import urllib.request

import yaml

file, method, url, body, seconds = sys.argv[1:]
config = yaml.safe_load(open(file))
# The first while the password is being replaced
login = config["ctl"].get("authentication") or config["restapi"]["authentication"]
tls = ssl.create_default_context(cafile=config["ctl"]["cacert"])
tls.load_cert_chain(config["ctl"]["certfile"])
word = base64.b64encode(("%s:%s" % (login["username"], login["password"])).encode()).decode()
headers = {"Authorization": "Basic " + word, "Content-Type": "application/json"}
call = urllib.request.Request(url, body.encode(), headers, method=method)
try:
    print(urllib.request.urlopen(call, context=tls, timeout=float(seconds)).read().decode())
except urllib.error.HTTPError as error:
    sys.exit("%s %s" % (error.code, error.read().decode()))
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
