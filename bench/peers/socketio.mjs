// A gateway as its users would write it with socket.io: from a Redis channel to rooms of accounts.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const { POSTWIRE_REDIS_URL, POSTWIRE_REALTIME_SECRET } = process.env;
const http = createServer();
// As the product: browsers may upgrade from polling; no compression, which is socket.io's default.
const io = new Server(http, { serveClient: false, pingInterval: 25_000, pingTimeout: 20_000 });

// socket.io's own advice for memory: the request is needed no more once the handshake is over.
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.use((socket, next) => {
  const claims = verify(socket.handshake.auth.token);
  if (!claims) return next(new Error("The token is not valid."));
  socket.data.accounts = new Set(claims.accounts);
  next();
});

io.on("connection", (socket) => {
  socket.on("join", ({ accountId }, answer) => {
    if (!socket.data.accounts.has(accountId)) return answer({ ok: false, joined: [] });
    const room = `account:${accountId}`;
    socket.join(room);
    answer({ ok: true, joined: [room] });
  });
});

// HS256 (RFC 7515), the audience and the end of a token.
function verify(token) {
  const [head, body, signature] = String(token).split(".");
  const expected = createHmac("sha256", POSTWIRE_REALTIME_SECRET).update(`${head}.${body}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  return claims.aud === "postwire-realtime" && claims.exp > Date.now() / 1000 ? claims : null;
}

const redis = new Redis(POSTWIRE_REDIS_URL);
redis.on("message", (_channel, text) => {
  const event = JSON.parse(text);
  io.to(`account:${event.accountId}`).emit("email:synced", event);
});
await redis.subscribe("email:sync");
http.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ event: "listening", port: http.address().port }));
});
