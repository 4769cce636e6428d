// The line above everything: offline, out of reach, or signed out. And the small word beside the title.

import { plainButton } from "./buttons.js";
import { el, find } from "./dom.js";

const PATIENCE_MS = 4000;

const LINK = {
  live: "live", connecting: "connecting", waiting: "reconnecting",
  offline: "offline", refused: "signed out", off: "connecting",
};

const OFFLINE = "You are offline. What you do here is kept, and sent when you are back.";
const OUT_OF_REACH = "Clarion cannot be reached. The app keeps trying.";

export class Strip {
  #clarion;
  #signInAgain;
  #stopping = new AbortController();
  #timer = null;
  #isRefused = false;

  constructor({ clarion, signInAgain }) {
    this.#clarion = clarion;
    this.#signInAgain = signInAgain;
    const { signal } = this.#stopping;
    clarion.addEventListener("live", () => this.#look(), { signal });
    for (const event of ["online", "offline"]) addEventListener(event, () => this.#look(), { signal });
    this.#look();
  }

  stop() {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    this.#say("");
  }

  /** The service does not take our token any more. */
  refuse() {
    this.#isRefused = true;
    this.#look();
  }

  #look() {
    clearTimeout(this.#timer);
    const state = navigator.onLine ? this.#clarion.liveState : "offline";
    find("link").dataset.state = state;
    find("link-text").textContent = LINK[state];
    if (this.#isRefused || state === "refused") this.#sayRefused();
    else if (state === "offline") this.#say(OFFLINE);
    else if (state === "waiting") this.#timer = setTimeout(() => this.#say(OUT_OF_REACH), PATIENCE_MS);
    else if (state === "live") this.#say("");
  }

  #say(text, ...more) {
    const strip = find("strip");
    if (strip.firstChild?.textContent === text) return;
    strip.replaceChildren(...(text ? [el("span", { text }), ...more] : []));
  }

  #sayRefused() {
    const again = plainButton({ id: "sign-in-again", label: "Sign in again", run: this.#signInAgain });
    this.#say("Your session has ended.", again);
  }
}
