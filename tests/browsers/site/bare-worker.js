// Shows what a push says, whatever it is, and opens what a click asks for.

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("push", (event) => {
  const { title, body, tag, actions, open } = event.data?.json() ?? { title: "Nothing was said" };
  event.waitUntil(registration.showNotification(title, { body, tag, actions, data: { open } }));
});

addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { open } = event.notification.data;
  const query = new URLSearchParams({ open, action: event.action, isTrusted: event.isTrusted });
  event.waitUntil(clients.openWindow(`bare.html?${query}`));
});
