// The tabs of one browser that show the same inbox: what they tell each other, and who may do what only one
// should. Where a browser has no Web Locks, every tab is on its own; that costs requests, nothing else.

export class Tabs {
  #name;
  #channel;
  #lane = Promise.resolve();

  /** `heard(message)` for everything that another tab tells. */
  constructor(name, heard) {
    this.#name = name;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (event) => heard(event.data);
  }

  tell(message) {
    this.#channel.postMessage(message);
  }

  /** Run `work` when no tab runs the like, in the order of asking; returns what it returns. */
  alone(work) {
    if (navigator.locks) return navigator.locks.request(`${this.#name}.alone`, work);
    const turn = this.#lane.then(work);
    this.#lane = turn.catch(() => {});
    return turn;
  }

  /** Run `work` in one of the tabs; another takes over when that one closes. Ends with the signal. */
  async lead(signal, work) {
    if (!navigator.locks) return work();
    try {
      return await navigator.locks.request(`${this.#name}.live`, { signal }, work);
    } catch (error) {
      if (!signal.aborted) throw error;
      return undefined;
    }
  }

  close() {
    this.#channel.close();
  }
}
