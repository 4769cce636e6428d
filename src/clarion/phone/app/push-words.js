// What this browser can do about banners, in words. Used by the card in the inbox and by the settings.

const WORDS = {
  on: "You get a banner when something comes, also when the app is closed.",
  off: "Nothing tells you that something came while the app is closed.",
  insecure: "Banners need a secure address: https, or this very machine.",
  unsupported: "This browser cannot show banners of web apps.",
  "needs-install":
    "On an iPhone or iPad, put the app on the Home Screen first: Share, “Add to Home Screen”, and open it there.",
  denied: "Banners are blocked for this app. Allow notifications for this site in the browser’s settings.",
};

const FAULTS = {
  ...WORDS,
  dismissed: "The question was closed without an answer, so nothing changed.",
  "needs-gesture": "The browser wants a click for it: please try once more.",
  "no-channel": "This organization has no Web Push channel yet; “clarion channel add” makes one.",
  "push-service": "The browser’s push service does not answer. Please try again later.",
  unreachable: "Clarion cannot be reached now. Please try again when you are online.",
  refused: "Clarion refused to register this device.",
};

/** Signs in a browser's description of itself, the more particular first. */
const BROWSERS = [["Edg", "Edge"], ["Firefox", "Firefox"], ["Chrome", "Chrome"], ["Safari", "Safari"]];
const SYSTEMS = [
  ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"],
  ["Mac OS", "Mac"], ["CrOS", "Chromebook"], ["Linux", "Linux"],
];

/** A state of `pushState()`. */
export const stateInWords = (state) => WORDS[state];

/** A reason of `registerPush()`. */
export const faultInWords = (reason) => FAULTS[reason] ?? FAULTS.refused;

/** A name for this browser, as a list of devices shows it. */
export function deviceName() {
  const { userAgent } = navigator;
  const found = (pairs) => pairs.find(([sign]) => userAgent.includes(sign))?.[1];
  return `${found(BROWSERS) ?? "Browser"} on ${found(SYSTEMS) ?? "an unknown system"}`;
}
