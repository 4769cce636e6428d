// Fingers: a row that is pushed aside, and a list that is pulled down to refresh.

const START_PX = 10;
const ENOUGH_PX = 84;
const PULL_PX = 72;
const MOST_PULL_PX = 110;

/** Let an element be swiped; `done("left" | "right")` after one that was long enough. */
export function swipeable(face, done) {
  let start = null;
  let distance = 0;

  const settle = () => {
    face.style.transform = "";
    face.parentElement.classList.remove("swiping");
    start = null;
    distance = 0;
  };
  face.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" || !event.isPrimary) return;
    start = { x: event.clientX, y: event.clientY };
  });
  face.addEventListener("pointermove", (event) => {
    if (!start) return;
    const aside = event.clientX - start.x;
    if (!distance && Math.abs(aside) < START_PX) return;
    if (!distance) face.setPointerCapture(event.pointerId);
    distance = aside;
    face.parentElement.classList.add("swiping");
    face.parentElement.dataset.swipe = aside > 0 ? "right" : "left";
    face.parentElement.toggleAttribute("data-enough", Math.abs(aside) >= ENOUGH_PX);
    face.style.transform = `translateX(${aside}px)`;
  });
  face.addEventListener("pointerup", () => {
    const direction = distance > 0 ? "right" : "left";
    const isEnough = Math.abs(distance) >= ENOUGH_PX;
    settle();
    if (isEnough) done(direction);
  });
  face.addEventListener("pointercancel", settle);
  face.addEventListener("click", (event) => distance && event.preventDefault(), { capture: true });
}

/** Let a list be pulled down at its top; `refresh()` returns a promise, and the mark turns until it ends. */
export function pullable(scroller, mark, refresh) {
  let startY = null;
  let pulled = 0;

  const show = (pixels) => {
    pulled = pixels;
    scroller.style.setProperty("--pulled", `${pixels}px`);
    scroller.classList.toggle("pulling", pixels > 0);
    mark.toggleAttribute("data-enough", pixels >= PULL_PX);
  };
  scroller.addEventListener("touchstart", (event) => {
    startY = scroller.scrollTop <= 0 && event.touches.length === 1 ? event.touches[0].clientY : null;
  }, { passive: true });
  scroller.addEventListener("touchmove", (event) => {
    const down = startY === null ? 0 : event.touches[0].clientY - startY;
    if (down <= START_PX && !pulled) return;
    event.preventDefault();
    show(Math.max(0, Math.min(MOST_PULL_PX, (down - START_PX) * 0.6)));
  }, { passive: false });
  scroller.addEventListener("touchend", async () => {
    const isEnough = pulled >= PULL_PX;
    startY = null;
    show(0);
    if (!isEnough) return;
    mark.toggleAttribute("data-busy", true);
    await refresh();
    mark.toggleAttribute("data-busy", false);
  });
  scroller.addEventListener("touchcancel", () => {
    startY = null;
    show(0);
  });
}
