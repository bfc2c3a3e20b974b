// What no address alone leads to: pages that come after a form. Of each: where it begins, what is chosen and typed there, what
// is pressed, and what the page that comes must have.

// A form that is shown again, with the fault beside the field.
const refused = (at, typed, press, field) => ({ name: `${at} refused`, at, typed, press, has: `[id="${field}-fault"]` });

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
];

// On a hub that lets nobody in without a password, in the order in which it is set up.
export const closed = (token, password) => {
  const setUp = { at: "/setup", press: "main form button.primary" };
  const logIn = { at: "/login", press: "main form button.primary" };
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
    { name: "/ after the logout", at: "/access", press: "form[action='/logout'] button", has: "#password" },
    { name: "/login", at: "/login", has: "#password" },
    { ...logIn, name: "/login refused", typed: { password: "a wrong one" }, has: "[role=alert]" },
  ];
};
