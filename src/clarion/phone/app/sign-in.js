// Signing in: by a link, or by what it holds. An app of one's own asks its own backend instead.

import { readLink } from "./account.js";
import { find } from "./dom.js";

/** Ask who it is; resolves to an account. `notice` says why one is asked. */
export function askForAccount(notice) {
  document.body.dataset.view = "sign-in";
  document.title = "Sign in – Clarion";
  find("sign-in").hidden = false;
  tell(notice);
  find("sign-in-title").focus();
  const form = find("sign-in-form");
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const account = read(new FormData(form));
      if (!account) return tell("That is not enough: a sign-in link, or organization, you and a token.");
      form.reset();
      find("sign-in").hidden = true;
      return resolve(account);
    };
  });
}

function read(fields) {
  const given = (name) => fields.get(name).trim();
  const linked = readLink(given("link"));
  if (linked) return linked;
  const account = { organizationId: given("organization"), userId: given("user"), token: given("token") };
  return account.organizationId && account.userId && account.token ? account : null;
}

function tell(text) {
  const notice = find("sign-in-notice");
  notice.textContent = text ?? "";
  notice.hidden = !text;
}
