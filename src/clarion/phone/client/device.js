// What this browser keeps about its registration for pushes, where the service worker finds it too: the
// database `clarion-push`. `kept` holds the device and the installation's id; `letters` what the service
// worker has to tell the service: receipts, a new address, a farewell. The service worker alone sends
// letters.

const NAME = "clarion-push";
const VERSION = 1;

/** The device as it was registered last, or null. */
export function readDevice() {
  return inKept("readonly", (kept) => kept.get("device")).then((device) => device ?? null);
}

/** Keep a device that was just registered; what was still to be told about an older address is void. */
export async function keepDevice(device) {
  await inKept("readwrite", (kept) => kept.put(device, "device"));
  await inLetters((letters) => {
    eachLetter(letters, (letter, cursor) => letter.kind === "address" && cursor.delete());
  });
}

/** Forget the device, and leave a letter that removes it from the service. */
export async function dismissDevice(device) {
  await inKept("readwrite", (kept) => kept.delete("device"));
  await inLetters((letters) => {
    letters.clear(); // they told of this device
    letters.add({ kind: "farewell", url: device.url, token: device.deviceToken, at: Date.now() });
  });
}

/** Leave a receipt: the notification was `displayed` or `opened`. */
export function addReceipt(notificationId, event) {
  return inLetters((letters) => letters.add({ kind: "receipt", notificationId, event, at: Date.now() }));
}

/** An id of this installation of the app, made once. */
export async function installationId() {
  const made = crypto.randomUUID();
  const known = await inKept("readwrite", (kept) => {
    const request = kept.get("installation");
    request.onsuccess = () => request.result ?? kept.put(made, "installation");
    return request;
  });
  return known ?? made;
}

/** A new person gets a new id. */
export function forgetInstallation() {
  return inKept("readwrite", (kept) => kept.delete("installation"));
}

function inKept(mode, work) {
  return inStore("kept", mode, work);
}

function inLetters(work) {
  return inStore("letters", "readwrite", work);
}

async function inStore(name, mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(name, mode);
      const request = work(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** As the service worker does. */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("kept");
      request.result.createObjectStore("letters", { autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function eachLetter(letters, visit) {
  const request = letters.openCursor();
  request.onsuccess = () => {
    const cursor = request.result;
    if (!cursor) return;
    visit(cursor.value, cursor);
    cursor.continue();
  };
}
