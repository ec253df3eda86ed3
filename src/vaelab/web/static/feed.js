// The state of all runs as the server sends it, through one worker for all tabs where the browser has shared workers.

// The state with what is new in it: runs that are new or other ones, and the ids of those that are gone.
export function renewed(state, { gone, runs, ...more }) {
  const known = new Map(state.runs.map((run) => [run.id, run]));
  for (const run of runs) known.set(run.id, run);
  for (const id of gone) known.delete(id);
  return { ...more, runs: [...known.values()] };
}

// onState: called with the newest state. onConnection: called with true or false.
export function follow(onState, onConnection) {
  let newest = null;
  const receive = ({ state, changes, connected, first }) => {
    if (state) newest = JSON.parse(state);
    else if (changes && newest) newest = renewed(newest, JSON.parse(changes));
    if (state || changes) onState(newest);
    if (!first || connected) onConnection(connected);
  };
  if (globalThis.SharedWorker) {
    const { port } = new SharedWorker("static/feed-worker.js", { name: "vaelab", type: "module" });
    port.onmessage = (event) => receive(event.data);
    addEventListener("pagehide", () => port.postMessage("closed"));
  } else {
    const source = new EventSource("events");
    for (const kind of ["state", "changes"]) source.addEventListener(kind, (event) => receive({ [kind]: event.data, connected: true }));
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
