// What a tap on a banner opens. A tap reaches the app in two ways: as a message of the service worker, or as
// a new page whose address names the notification. Pure but for the entry, which is asked for.

const KEYS = ["notificationId", "organizationId", "screen", "jigId"];

/** The notification that an address names for this organization, or null. */
export function readLink(href, organizationId) {
  const query = new URL(href).searchParams;
  const notificationId = query.get("notificationId");
  return notificationId && query.get("organizationId") === organizationId ? notificationId : null;
}

/** The address without what a tap put there. */
export function withoutLink(href) {
  const url = new URL(href);
  for (const key of KEYS) url.searchParams.delete(key);
  return url.href;
}

/**
 * What to open, from a message of the service worker or from an id alone. An address can be written by
 * anybody, so it names the notification and nothing else: screen, jig and inputs are the inbox entry's.
 */
export async function readOpening(told, getEntry) {
  const { notificationId } = told;
  if (told.screen && told.inputs && !told.inputsOmitted) return opening(notificationId, told);
  try {
    return opening(notificationId, (await getEntry(notificationId)).content);
  } catch (error) {
    const missing = error.status === 404 ? "gone" : "unreachable";
    return { ...opening(notificationId, told), missing };
  }
}

function opening(notificationId, { screen, jigId, inputs }) {
  return {
    notificationId,
    screen: screen ?? null,
    jigId: jigId ?? null,
    inputs: inputs ?? {},
    missing: null,
  };
}
