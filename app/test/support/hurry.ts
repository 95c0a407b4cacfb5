// Loaded into a server before it starts: the limits that it sets on slow clients, ten times as short.
import http from "node:http";
import { syncBuiltinESMExports } from "node:module";

const { createServer } = http;
http.createServer = ((options: http.ServerOptions, listener: http.RequestListener) => {
  const { headersTimeout = 0, requestTimeout = 0 } = options;
  const hurried = {
    ...options,
    headersTimeout: headersTimeout / 10,
    requestTimeout: requestTimeout / 10,
    connectionsCheckingInterval: 200,
  };
  return createServer(hurried, listener);
}) as typeof createServer;
syncBuiltinESMExports();
