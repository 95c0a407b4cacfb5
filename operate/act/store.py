"""Passes calls to the stack's etcd, with the login that this member's Patroni has there.

Argument: Patroni's file. Standard input: a JSON list of [method, body] of etcd's gateway, in their order.
Standard output: {"answers": […]}, where one that etcd refuses has its code and message, or {"unavailable": why} where no member of etcd answers with a quorum.
"""
import http.client
import json
import ssl
import sys

import yaml

# A member without a quorum keeps whoever logs in waiting for longer
SECONDS = 1.5

config = yaml.safe_load(open(sys.argv[1]))["etcd3"]
calls = json.load(sys.stdin)
tls = ssl.create_default_context(cafile=config["cacert"])
tls.load_cert_chain(config["cert"])


class Unavailable(Exception):
    pass


def post(connection, method, body, token=None):
    headers = {"Authorization": token} if token else {}
    connection.request("POST", "/v3/" + method, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status >= 500:
        raise Unavailable(text.strip())
    # A stream, as of keepalive, is one line for each answer
    return json.loads(text.splitlines()[0])


def ask(host):
    connection = http.client.HTTPSConnection(host, context=tls, timeout=SECONDS)
    try:
        login = {"name": config["username"], "password": config["password"]}
        answer = post(connection, "auth/authenticate", login)
        if "token" not in answer:
            sys.exit("etcd does not let %s log in: %s" % (config["username"], answer["message"]))
        token = answer["token"]
        return [post(connection, method, body, token) for method, body in calls]
    finally:
        connection.close()


why = []
for host in config["hosts"]:
    try:
        print(json.dumps({"answers": ask(host)}))
        break
    except (OSError, http.client.HTTPException, Unavailable) as error:
        why.append("%s: %s" % (host, error))
else:
    print(json.dumps({"unavailable": "; ".join(why)}))
