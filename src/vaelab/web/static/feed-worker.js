// One connection for all tabs of this browser: browsers allow six connections to a server, and the seventh tab would wait
// for ever. Passes on the newest state, and whether there is a connection.
import { renewed } from "./feed.js";

const RETRY = 2000, SILENT = 45000; // milliseconds
const tabs = new Set();
let source = null, state = null, connected = false, heard = Date.now();

function tell(message) {
  for (const tab of tabs) tab.postMessage(message);
}

function connect() {
  source?.close();
  heard = Date.now();
  source = new EventSource("../events");
  for (const kind of ["state", "changes"]) source.addEventListener(kind, (event) => {
    heard = Date.now();
    const data = JSON.parse(event.data);
    [state, connected] = [kind === "state" ? data : renewed(state, data), true];
    tell({ [kind]: event.data, connected });
  });
  source.addEventListener("alive", () => { heard = Date.now(); });
  source.onerror = () => {
    connected = false;
    tell({ connected });
    // a refusal ends an EventSource for good; it repeats broken connections by itself
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY);
  };
}

// After a sleep of the machine a connection may be dead without an error.
setInterval(() => {
  if (Date.now() - heard > SILENT && source.readyState !== EventSource.CLOSED) {
    connected = false;
    tell({ connected });
    connect();
  }
}, 5000);

self.onconnect = ({ ports: [tab] }) => {
  tabs.add(tab);
  tab.onmessage = () => tabs.delete(tab);
  tab.postMessage({ state: state && JSON.stringify(state), connected, first: true });
};
connect();
