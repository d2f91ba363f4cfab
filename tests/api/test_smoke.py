from __future__ import annotations
from support import rows
def test_smoke(ann, store):
    a = rows.active(store)
    box = rows.mailbox(store, a)
    rows.store_batch(store, rows.batch(box, rows.incoming(1), rows.incoming(2)))
    for path in ("/api/accounts", f"/api/accounts/{a.id}", f"/api/accounts/{a.id}/mailboxes","/api/messages?limit=1","/api/messages/1","/api/jobs","/api/email/sync","/api/email/sync/schedule","/nope","/api/nope","/api/docs","/api/docs/openapi.json","/api/messages?limit=0","/api/messages?cursor=x","/api/accounts/xx"):
        r = ann.get(path); print(path, r.status_code, r.headers.get("content-type"), r.text[:1500]); print()
    for path, data in (("/api/email/sync", None),("/api/email/sync", {}),("/api/email/sync", {"accountId": a.id}),("/api/email/sync", {"acountId": a.id}),("/api/email/sync/schedule", None),("/api/email/sync/schedule", {"every": 5}),("/api/realtime-token", None),(f"/api/accounts/{a.id}/pause",None),("/api/email/sync", {"accountId": a.id}),("/api/email/sync", None),(f"/api/accounts/{a.id}/resume",None),("/api/accounts",{}),("/api/accounts",{"address":"x","password":"p","host":"h","port":1,"security":"tls"}),("/api/messages",None)):
        r = ann.post(path, **({"json": data} if data is not None else {})); print("POST", path, data, r.status_code, dict(r.headers), r.text[:1500]); print()
    r = ann.post("/api/email/sync", content=b"{nope"); print(r.status_code, r.text)
    r = ann.post("/api/email/sync", content=b"x"*70000); print(r.status_code, r.text)
    r = ann.delete(f"/api/accounts/{a.id}"); print(r.status_code, repr(r.text), r.headers)
    del ann.headers["authorization"]
    r = ann.get("/api/accounts"); print(r.status_code, r.headers, r.text)
    from prometheus_client import generate_latest
    print([l for l in generate_latest().decode().splitlines() if "http_request_seconds_count" in l])
