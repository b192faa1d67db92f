# How long a connected, idle node takes from a confirmed install to the first step of its run, as the API tells it.
import json, ssl, sys, time, http.client

folder, node, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
endpoint = json.load(open(folder + "/server.json"))
address = endpoint["url"].split("://")
context = ssl._create_unverified_context()
host = address[1].rstrip("/")
connection = http.client.HTTPSConnection(host, context=context) if address[0] == "https" else http.client.HTTPConnection(host)

def ask(method, path, body=None):
    connection.request(method, "/api/v1" + path, json.dumps(body) if body else None, {"Authorization": "Bearer " + endpoint["token"], "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, text
    return json.loads(text)

for _ in range(rounds):
    begun = time.monotonic()
    operation = ask("POST", "/operations", {"kind": "install", "nodes": [node], "install": {"only": ["nothing-has-this-name"]}})["id"]
    first = None
    while True:
        invocation = ask("GET", "/operations/" + operation)["invocations"][0]
        if first is None and (invocation["progress"] or invocation["finished_at"]):
            first = time.monotonic() - begun
        if invocation["finished_at"]:
            break
        time.sleep(0.002)
    print(first)
