// Which screen is open: the inbox, one notification, or the settings. It is in the address's fragment, so that the
// back button works; between the inbox and a screen lies one step of history and never more.

const SCREENS = /^#\/(?:n\/(?<id>[\w-]+)|(?<settings>settings))$/;

export class Router {
  #show;
  #steps = 0;

  /** `show(route)`: {view: "inbox" | "notification" | "settings", id}. */
  constructor(show) {
    this.#show = show;
    addEventListener("hashchange", this.#changed);
  }

  get route() {
    const { id, settings } = SCREENS.exec(location.hash)?.groups ?? {};
    if (id) return { view: "notification", id };
    return { view: settings ? "settings" : "inbox", id: null };
  }

  start() {
    this.#show(this.route);
  }

  openNotification(id) {
    this.#open(`#/n/${encodeURIComponent(id)}`);
  }

  openSettings() {
    this.#open("#/settings");
  }

  /** To the inbox, the way the back button would. */
  back() {
    if (this.route.view === "inbox") return;
    if (this.#steps > 0) history.back();
    else this.#replace("#/");
  }

  stop() {
    removeEventListener("hashchange", this.#changed);
  }

  #open(hash) {
    if (location.hash === hash) this.#show(this.route);
    else if (this.route.view === "inbox") location.hash = hash;
    else this.#replace(hash);
  }

  #replace(hash) {
    history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
    this.#show(this.route);
  }

  #changed = () => {
    this.#steps = this.route.view === "inbox" ? 0 : 1;
    this.#show(this.route);
  };
}
