// Moments in words. Pure: now is an argument.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** How long ago, as short as a list needs it. */
export function shortly(at, now) {
  const past = now - at;
  if (past < MINUTE_MS) return "now";
  if (past < HOUR_MS) return ago.format(-Math.floor(past / MINUTE_MS), "minute");
  if (daysApart(at, now) === 0) return clock.format(at);
  if (daysApart(at, now) < 7) return weekday.format(at);
  return (new Date(at).getFullYear() === new Date(now).getFullYear() ? day : dayAndYear).format(at);
}

export const fully = (at) => whole.format(at);

export const dayOf = (at) => dayAndYear.format(at);

/** The heading that an entry of the list stands under. */
export function period(at, now) {
  const days = daysApart(at, now);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  return days < 7 ? "This week" : "Earlier";
}

function daysApart(at, now) {
  return Math.round((midnight(now) - midnight(at)) / DAY_MS);
}

function midnight(moment) {
  return new Date(moment).setHours(0, 0, 0, 0);
}
