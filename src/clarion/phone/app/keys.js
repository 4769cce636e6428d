// The keyboard. Single keys can be turned off in the settings; Tab, Enter, Escape and arrows always work.

import { showShortcuts } from "./dialogs.js";
import { preferences } from "./preferences.js";

export const SHORTCUTS = [
  { keys: ["j", "↓"], does: "next notification" },
  { keys: ["k", "↑"], does: "previous notification" },
  { keys: ["Enter", "o"], does: "open it" },
  { keys: ["Esc"], does: "back to the inbox" },
  { keys: ["u"], does: "read or unread" },
  { keys: ["e"], does: "move to trash, or restore" },
  { keys: ["#", "Del"], does: "delete" },
  { keys: ["A"], does: "mark all as read" },
  { keys: ["1", "2", "3"], does: "all, unread, trash" },
  { keys: ["r"], does: "refresh" },
  { keys: ["s"], does: "settings" },
  { keys: ["?"], does: "this list" },
];

const FILTERS = { 1: "inbox", 2: "unread", 3: "dismissed" };
const OURS = new Set([..."jkoue#A123rs?", "ArrowDown", "ArrowUp", "Delete"]);

/** Listen until the signal. */
export function listenToKeys({ inbox, reader, actions, router }, signal) {
  const act = (key) => {
    const entry = inbox.focusedEntry ?? reader.entry;
    switch (key) {
      case "j": case "ArrowDown": return inbox.focus(1);
      case "k": case "ArrowUp": return inbox.focus(-1);
      case "o": return entry && router.openNotification(entry.notificationId);
      case "u": case "e": return entry && actions.press(key, entry);
      case "#": case "Delete": return entry && actions.press("#", entry);
      case "A": return actions.readAll();
      case "r": return inbox.refresh();
      case "s": return router.openSettings();
      case "?": return showShortcuts(SHORTCUTS);
      default: return inbox.choose(FILTERS[key]);
    }
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return router.back();
    if (!OURS.has(event.key) || isTyping(event.target)) return;
    const isArrow = event.key.startsWith("Arrow");
    if (isArrow ? !event.target.closest(".list") : !preferences().shortcuts) return;
    event.preventDefault();
    act(event.key);
  }, { signal });
}

function isTyping(target) {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
