// What this person likes on this device.

const KEY = "clarion.preferences";
const DEFAULTS = { shortcuts: true, visits: 0, opened: 0, pushAsked: false };

export function preferences() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY)) };
  } catch {
    return { ...DEFAULTS };
  }
}

export function prefer(changes) {
  localStorage.setItem(KEY, JSON.stringify({ ...preferences(), ...changes }));
}

export function forgetPreferences() {
  localStorage.removeItem(KEY);
}
