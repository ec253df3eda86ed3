// The state of all runs as the server sends it, through one worker for all tabs where the browser has shared workers.

// onState: called with the newest state. onConnection: called with true or false.
export function follow(onState, onConnection) {
  const receive = ({ state, connected, first }) => {
    if (state) onState(JSON.parse(state));
    if (!first || connected) onConnection(connected);
  };
  if (globalThis.SharedWorker) {
    const { port } = new SharedWorker("static/feed-worker.js", { name: "vaelab" });
    port.onmessage = (event) => receive(event.data);
    addEventListener("pagehide", () => port.postMessage("closed"));
  } else {
    const source = new EventSource("events");
    source.addEventListener("state", (event) => receive({ state: event.data, connected: true }));
    source.onerror = () => {
      receive({ connected: false });
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    };
  }
  // a page that the browser brings back from its cache has left the worker
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// JSON of an address; throws an Error with the server's own sentence.
export async function getJson(address, signal) {
  const answer = await fetch(address, { signal });
  const type = answer.headers.get("content-type") ?? "";
  const body = type.startsWith("application/json") ? await answer.json() : { error: await answer.text() };
  if (!answer.ok) throw new Error(body.error);
  return body;
}
