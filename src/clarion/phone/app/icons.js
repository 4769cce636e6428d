// The drawings on the buttons, on a grid of 24.

const NAMESPACE = "http://www.w3.org/2000/svg";

const PATHS = {
  back: ["M14.5 5 7.5 12l7 7"],
  bell: ["M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15z", "M10 20.5h4"],
  check: ["m5 12.5 4.5 4.5L19 7.5"],
  checks: ["m2.5 12.5 4.5 4.5L15.5 8", "m12 16 1 1L21.5 8"],
  close: ["m6.5 6.5 11 11", "m17.5 6.5-11 11"],
  erase: ["M5 7h14", "M10 7V4.5h4V7", "M7 7l.800 12.5h8.4L17 7", "m10 11 4 4.5M14 11l-4 4.5"],
  gear: [
    "M12 9a3 3 0 1 0 0 6 3 3 0 1 0 0-6z",
    "M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M18.4 5.6l-2.2 2.2M7.8 16.2l-2.2 2.2",
  ],
  letter: ["M4 6.5h16v11.5H4z", "m4.5 7 7.5 6 7.5-6"],
  open: ["M13 5h6v6", "M19 5l-8.5 8.5", "M16 14v5H5V8h5"],
  phone: ["M7.5 3h9v18h-9z", "M11 18h2"],
  refresh: ["M19.5 12a7.5 7.5 0 1 1-2.2-5.3", "M19.5 3.5v4h-4"],
  restore: ["M5 12a7.5 7.5 0 1 0 2.2-5.3L4.5 9", "M4.5 4.5V9H9"],
  trash: ["M5 7h14", "M10 7V4.5h4V7", "M7 7l.800 12.5h8.4L17 7", "M10.5 11v5M13.5 11v5"],
};

/** One of the drawings, as the button's label says in words. */
export function icon(name) {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const data of PATHS[name]) {
    const path = document.createElementNS(NAMESPACE, "path");
    path.setAttribute("d", data);
    svg.append(path);
  }
  return svg;
}
