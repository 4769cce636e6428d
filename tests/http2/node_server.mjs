// A server on Node's own http2 module. Arguments: certificate, key, and SETTINGS as JSON. Prints its port, then one
// line for each request that it has read to its end. What a request gets is the first piece of its path.
import { createSecureServer, constants } from "node:http2";
import { readFileSync } from "node:fs";

const [chain, key, settings] = process.argv.slice(2);
const server = createSecureServer({
  cert: readFileSync(chain), key: readFileSync(key), settings: JSON.parse(settings),
});

const answers = {
  ok: (stream) => stream.respond({ ":status": 200 }, { endStream: true }),
  created: (stream) => {
    stream.respond({ ":status": 201, location: "/somewhere" });
    stream.end();
  },
  gone: (stream) => {
    const body = JSON.stringify({ reason: "Unregistered" });
    stream.respond({ ":status": 410, "content-length": body.length, "content-type": "application/json" });
    stream.end(body);
  },
  echo: (stream, body) => {
    stream.respond({ ":status": 400, "x-length": String(body.length) });
    stream.end(body.subarray(0, 1000));
  },
  interim: (stream) => {
    stream.additionalHeaders({ ":status": 102 });
    stream.additionalHeaders({ ":status": 103, link: "</a.css>; rel=preload" });
    stream.respond({ ":status": 200 }, { endStream: true });
  },
  trailers: (stream) => {
    stream.respond({ ":status": 503 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-checksum": "abc" }));
    stream.end("later");
  },
  reset: (stream, _body, code) => stream.close(Number(code)),
  half: (stream) => {
    stream.respond({ ":status": 500 });
    stream.write("half", () => stream.destroy(new Error("enough")));
  },
  short: (stream) => {
    stream.respond({ ":status": 500, "content-length": 100 });
    stream.end("less than a hundred");
  },
  leave: (stream) => {
    answers.ok(stream);
    stream.session.close();
  },
  destroy: (stream) => stream.session.destroy(),
  silent: () => {},
};

server.on("stream", (stream, headers) => {
  const [, name, detail] = headers[":path"].split("/");
  stream.on("error", () => {});
  if (name === "early") {
    stream.respond({ ":status": 200 }, { endStream: true });
    stream.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  const pieces = [];
  stream.on("data", (piece) => pieces.push(piece));
  stream.on("end", () => {
    console.log(headers[":path"]);
    answers[name](stream, Buffer.concat(pieces), detail);
  });
});
server.on("sessionError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
