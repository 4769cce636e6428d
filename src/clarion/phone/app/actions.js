// What a person can do with an entry, wherever they do it: with a button, a key or a swipe.

import { confirm } from "./dialogs.js";
import { toast } from "./toasts.js";

export const isUnread = (entry) => entry.state === "SENT";
export const isInTrash = (entry) => entry.state === "DISMISSED";

/** What can be done: a name, words for buttons and for the ground under a swipe, a drawing, a key. */
const WORDS = {
  read: { name: "read", label: "Mark as read", short: "Read", icon: "check", key: "u" },
  unread: { name: "unread", label: "Mark as unread", short: "Unread", icon: "letter", key: "u" },
  dismiss: { name: "dismiss", label: "Move to trash", short: "Trash", icon: "trash", key: "e" },
  restore: { name: "restore", label: "Restore", short: "Restore", icon: "restore", key: "e" },
  remove: { name: "remove", label: "Delete", short: "Delete", icon: "erase", key: "#" },
};

export class Actions {
  #clarion;
  #gone;

  /** `gone(id)` hears that an entry leaves its place, before it does. */
  constructor(clarion, { gone }) {
    this.#clarion = clarion;
    this.#gone = gone;
  }

  /** What can be done with an entry now, in the order of the buttons: WORDS, with `run`. */
  for(entry) {
    const { read, unread, dismiss, restore, remove } = WORDS;
    if (isInTrash(entry)) return this.#aimed(entry, [restore, remove]);
    return this.#aimed(entry, [isUnread(entry) ? read : unread, dismiss]);
  }

  /** The same, and deleting. */
  all(entry) {
    const actions = this.for(entry);
    return isInTrash(entry) ? actions : [...actions, ...this.#aimed(entry, [WORDS.remove])];
  }

  /** Do what a key stands for; the delete key works everywhere. */
  press(key, entry) {
    if (key === "#") return this.remove(entry);
    return this.for(entry).find((action) => action.key === key)?.run();
  }

  read({ notificationId: id }) {
    return this.#clarion.markRead(id);
  }

  unread({ notificationId: id }) {
    return this.#clarion.markUnread(id);
  }

  async dismiss(entry) {
    const id = entry.notificationId;
    this.#gone(id);
    await this.#clarion.dismiss(id);
    const undo = () => (isUnread(entry) ? this.#clarion.markUnread(id) : this.#clarion.restore(id));
    toast({ text: "Moved to trash", action: { label: "Undo", run: undo } });
  }

  async restore({ notificationId: id }) {
    this.#gone(id);
    await this.#clarion.restore(id);
    toast({ text: "Back in the inbox" });
  }

  async remove({ notificationId: id }) {
    const text = "It disappears from all your devices and cannot be brought back.";
    if (!(await confirm({ title: "Delete this notification?", text, yes: "Delete" }))) return;
    this.#gone(id);
    await this.#clarion.remove(id);
    toast({ text: "Deleted" });
  }

  #aimed(entry, actions) {
    return actions.map((action) => ({ ...action, run: () => this[action.name](entry) }));
  }

  async readAll() {
    const before = await this.#clarion.unread();
    if (!before) return;
    await this.#clarion.markAllRead();
    toast({ text: before === 1 ? "One notification marked as read" : `${before} notifications marked as read` });
  }
}
