// What no address alone leads to: pages that come after a form. Of each: where it begins, what is chosen, given as a file and
// typed there, what is tapped on that page and pressed to leave it, what is typed and pressed on the next one, and what the
// page that comes must have. `forget` ends the login before the last press; `meanwhile` happens beside a page that follows
// what happens, and answers how it is taken back.

// A form that is shown again, with the fault beside the field.
const refused = (at, typed, press, field) => ({ name: `${at} refused`, at, typed, press, has: `[id="${field}-fault"]` });

// The button that sends the form of a tool.
const SEND = "main form.playground button.primary";

// Nobody listens there.
const NOWHERE = "http://127.0.0.1:9";

// The hub loses the server at once.
const lostServer = async (hub) => {
  const servers = `${hub}/api/v1/servers`;
  const body = JSON.stringify({ name: "lost", base_url: NOWHERE });
  const answer = await fetch(servers, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { id } = await answer.json();
  return () => fetch(`${servers}/${id}`, { method: "DELETE" });
};

const RENDER_TYPES = "name,workflow,mode\nof a table,smoke,generate\n";
const STYLES = "name,prompt_template\nof a table,a table of {prompt}\n";
const CONFIGURATION = { format: "genimage-config", version: 1, styles: [{ name: "of another hub", prompt_template: "odd" }] };

// On a hub that anybody may use.
export const OPEN = [
  refused("/playground", { prompt: "a fox", seed: "-5" }, "form[action='/playground/generate_image'] button.primary", "seed"),
  refused("/servers/new", { name: "nobody", base_url: "ftp://nowhere" }, "#server-form button.primary", "base_url"),
  refused("/llm-servers/new", { name: "nobody", base_url: "not an address" }, "main form button.primary", "base_url"),
  refused("/render-types/new", { name: "odd", "#size-1": "big" }, "main form button.primary", "sizes"),
  refused("/settings", { "queue.max": "0" }, "main form.settings .bulk button.primary", "queue.max"),
  refused("/configuration", { export_passphrase: "abc" }, "form[action='/configuration/export'] button[type=submit]", "export_passphrase"),
  {
    name: "deleting pictures", at: "/gallery", chosen: ".shot-pick input",
    press: "button[formaction='/gallery/delete']", has: "form[action='/gallery/delete'] button.danger",
  },
  { name: "something to take back", at: "/gallery", chosen: ".shot-pick input", press: "button[name=favourite][value=on]",
    has: ".flash form[action='/undo']" },
  { name: "a plan", at: "/playground", typed: { prompt: "a fox" }, press: "button[formaction$='/plan']", has: "#plan" },
  { name: "a server tested", at: "/servers", press: "form[action$='/test'] button", has: "#server-test .stages" },
  { name: "all servers tested", at: "/servers", press: "form[action='/servers/test-all'] button", has: "#tests-title" },
  { name: "a server that fails its test first", at: "/servers/new", typed: { name: "nobody", base_url: NOWHERE },
    tap: "#server-form button[hx-post]", has: "#server-test .test-verdict" },
  { name: "an LLM server tested", at: "/llm-servers", press: "form[action$='/test'] button", has: ".server .model-list" },
  { name: "a server lost meanwhile", at: "/servers", meanwhile: lostServer, has: "#toasts .toast" },
  { name: "styles to import", at: "/styles",
    given: { "form[action='/styles/import'] input[type=file]": ["styles.csv", STYLES] },
    press: "form[action='/styles/import'] button.primary", has: "input[name=table]" },
  { name: "render types to import", at: "/render-types",
    given: { "form[action='/render-types/import'] input[type=file]": ["types.csv", RENDER_TYPES] },
    press: "form[action='/render-types/import'] button.primary", has: "input[name=table]" },
  { name: "a configuration to import", at: "/configuration", typed: { "#text": JSON.stringify(CONFIGURATION) },
    press: "section[aria-labelledby=import-title] button.primary", has: ".import-preview" },
  { name: "a node of a workflow", at: "/workflows", press: "main a.row-link", last: "a.graph-node", has: "#node" },
  { name: "a place to pick", at: "/workflows", press: "main a.row-link", last: "button[name=pick]", has: ".graph-pick" },
];

// On a hub that lets nobody in without a password, in the order in which it is set up; `server` does as faults.toml says.
export const closed = (token, password, server) => {
  const setUp = { at: "/setup", press: "main form button.primary" };
  const logIn = { at: "/login", press: "main form button.primary" };
  const asks = (prompt) => ({ at: "/playground", typed: { prompt, render_type: "sdxl" }, press: SEND });
  return [
    { name: "/setup with a token", at: "/setup", has: "#token" },
    { ...setUp, name: "/setup refused", typed: { token: "guessed", password, again: password }, has: "[role=alert]" },
    { ...setUp, name: "/ after the setup", typed: { token, password, again: password }, has: "form[action='/logout'], h1" },
    { name: "/access without keys", at: "/access", has: "form[action='/access/keys']" },
    refused("/access", { name: "agent", images_per_day: "0" }, "form[action='/access/keys'] button.primary", "images_per_day"),
    { name: "a new key", at: "/access", typed: { name: "agent" }, press: "form[action='/access/keys'] button.primary", has: "#new-key" },
    { name: "/access with a key", at: "/access", has: "details.confirm" },
    { name: "/access/keys/key", at: "/access", press: "main table a.button", has: "form[data-guard]" },
    { name: "/access/keys/key refused", at: "/access", press: "main table a.button", then: { weight: "-1" },
      last: "form[data-guard] button.primary", has: "[id='weight-fault']" },
    { name: "/access/log", at: "/access/log", has: "h1" },
    // One prompt at once: what comes behind the one that stands still must wait.
    { name: "a first server", at: "/servers/new", typed: { name: "bench", base_url: server, max_in_flight: "1" },
      press: "#server-form button.primary", has: ".server .badge.tone-good" },
    { ...asks("a broken fox"), name: "a failed job", has: "#job-now .notice.tone-bad" },
    { ...asks("a held fox"), name: "a running job", has: "#job-progress img" },
    { ...asks("a hare behind it"), name: "a waiting job", has: "#why-title" },
    { name: "jobs of all states", at: "/jobs", has: ".job-why" },
    { name: "an LLM server that fails its test", at: "/llm-servers/new", typed: { name: "nobody", base_url: NOWHERE },
      press: "main form button.primary", last: "form[action$='/test'] button", has: ".server .notice.tone-bad" },
    { name: "/ after the logout", at: "/access", press: "form[action='/logout'] button", has: "#password" },
    { name: "/login", at: "/login", has: "#password" },
    { ...logIn, name: "/login refused", typed: { password: "a wrong one" }, has: "[role=alert]" },
    { ...logIn, name: "a form whose login ended", at: "/login?next=/servers/new", typed: { password },
      then: { name: "typed with care", base_url: NOWHERE, secret: "not kept" }, forget: true,
      last: "#server-form button.primary", has: "a[href='/login'][target='_blank']" },
  ];
};
