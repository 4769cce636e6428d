// What the person did and the service does not know yet, laid over what the service said. Pure; the words
// are: {kind: "state", notificationId, state}, {kind: "remove", notificationId}, {kind: "all", upTo, ids}.

export const UNREAD = "SENT";

/** The entry as the person should see it, after changes in their order; null when it was removed. */
export function overlay(entry, changes) {
  let seen = entry;
  for (const change of changes) {
    if (change.kind === "all") {
      const isRead = seen.state === UNREAD && change.ids.includes(seen.notificationId);
      seen = isRead ? { ...seen, state: "READ" } : seen;
    } else if (change.notificationId === entry.notificationId) {
      if (change.kind === "remove") return null;
      seen = { ...seen, state: change.state };
    }
  }
  return seen;
}

/** Whether a list with this filter shows the entry. */
export function passes(entry, filter) {
  switch (filter) {
    case "all":
      return true;
    case "unread":
      return entry.state === UNREAD;
    case "dismissed":
      return entry.state === "DISMISSED";
    default:
      return entry.state !== "DISMISSED";
  }
}

/** Whether a new change makes an earlier one that was not sent yet pointless. */
export function supersedes(change, earlier) {
  return (
    change.kind !== "all" && earlier.kind === "state" && earlier.notificationId === change.notificationId
  );
}
