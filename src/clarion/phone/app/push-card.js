// The question whether banners are wanted. It is asked in the inbox, by a card and not by the browser, when the
// person has come back or has opened something, and once.

import { plainButton } from "./buttons.js";
import { el, find } from "./dom.js";
import { icon } from "./icons.js";
import { prefer, preferences } from "./preferences.js";
import { deviceName, faultInWords, stateInWords } from "./push-words.js";
import { toast } from "./toasts.js";

const ASKING = "Also when this app is closed. You can turn it off at any time.";

/** Turn banners on; says what came of it. Call it from a click. */
export async function turnOn(clarion) {
  const answer = await clarion.registerPush({ name: deviceName() });
  if (answer.ok) toast({ text: "Banners are on for this device" });
  else toast({ title: "Banners could not be turned on", text: faultInWords(answer.reason), kind: "fault" });
  return answer;
}

export async function showPushCard(clarion) {
  const { pushAsked, visits, opened } = preferences();
  if (pushAsked || (visits < 2 && opened < 1) || find("push-card")) return;
  const state = await clarion.pushState().catch(() => "unsupported");
  if (state === "off" || state === "needs-install") find("push-place").replaceChildren(draw(clarion, state));
}

export function hidePushCard() {
  find("push-place").replaceChildren();
}

function draw(clarion, state) {
  const isAskable = state === "off";
  const done = () => {
    prefer({ pushAsked: true });
    hidePushCard();
  };
  const yes = async () => {
    const answer = await turnOn(clarion);
    if (answer.ok || answer.reason === "denied") done();
  };
  return el("section", { class: "push-card", id: "push-card", "aria-labelledby": "push-card-title" },
    icon("bell"),
    el("div", {},
      el("h2", { id: "push-card-title", text: "Get a banner when something comes" }),
      el("p", { class: "soft", text: isAskable ? ASKING : stateInWords(state) }),
      el("div", { class: "card-buttons" },
        isAskable && plainButton({ id: "push-card-on", label: "Turn on", look: "primary", run: yes }),
        plainButton({ id: "push-card-later", label: isAskable ? "Not now" : "Got it", run: done }))));
}
